"""The support console: pages over the center's own API, for people at the desk, on the road and at the wall.

`app.mount` puts it on a center's application. A screen is a function that `app.screen` registers: it is given the
`Visit` of somebody who is logged in, asks the API through it, and builds elements of NiceGUI.
"""
