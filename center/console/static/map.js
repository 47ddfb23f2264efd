// The map of sites: near ones drawn as one mark with shape, colour and number; a quiet grid below, or tiles where the settings name some.
(() => {
  const CELL_PX = 72;
  const APART_PX = 50;
  const LINE_PX = 110;
  const STEPS = [45, 30, 15, 10, 5, 2, 1, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01];
  const MOST_NAMES = 12;
  const [LAT, LON, ALL, BAD, UNSURE, NAME, WHERE, KEY] = [0, 1, 2, 3, 4, 5, 6, 7];

  function element(tag, look, words) {
    const made = document.createElement(tag);
    if (look) made.className = look;
    if (words !== undefined) made.textContent = words;
    return made;
  }

  const Sites = L.Layer.extend({
    initialize(rows, told) {
      this._rows = rows;
      this._told = told;
      this._marks = new Map();
    },

    onAdd(map) {
      this._under = L.layerGroup().addTo(map);
      this._group = L.layerGroup().addTo(map);
      L.control.scale({ imperial: false }).addTo(map);
      map.attributionControl?.setPrefix(false);
      map.on("moveend", this._draw, this);
      const bounds = L.latLngBounds(this._rows.map((row) => [row[LAT], row[LON]]));
      if (bounds.isValid()) map.fitBounds(bounds, { padding: [40, 40], maxZoom: 13, animate: false });
      this._draw();
    },

    onRemove(map) {
      map.off("moveend", this._draw, this);
      this._group.remove();
      this._under.remove();
    },

    // [number of the row, terminals, troubled, unknown] of each that has changed
    put(changes) {
      for (const [at, ...counts] of changes) this._rows[at].splice(ALL, 3, ...counts);
      this._draw();
    },

    _draw() {
      if (!this._map?._loaded) return;
      this._drawGrid();
      const found = this._clusters();
      for (const [key, mark] of this._marks) {
        if (found.has(key)) continue;
        mark.remove();
        this._marks.delete(key);
      }
      for (const [key, cluster] of found) this._mark(key, cluster);
    },

    _clusters() {
      const map = this._map;
      const zoom = map.getZoom();
      const seen = map.getBounds().pad(0.15);
      const found = new Map();
      for (const row of this._rows) {
        if (!seen.contains([row[LAT], row[LON]])) continue;
        const point = map.project([row[LAT], row[LON]], zoom);
        const key = `${zoom}/${Math.floor(point.x / CELL_PX)}/${Math.floor(point.y / CELL_PX)}`;
        let cluster = found.get(key);
        if (!cluster) found.set(key, (cluster = { rows: [], all: 0, bad: 0, unsure: 0, x: 0, y: 0 }));
        cluster.rows.push(row);
        cluster.all += row[ALL];
        cluster.bad += row[BAD];
        cluster.unsure += row[UNSURE];
        cluster.x += point.x;
        cluster.y += point.y;
      }
      return this._apart(found);
    },

    // Marks on both sides of a cell's edge would lie on each other: the larger one takes the other in.
    _apart(found) {
      const kept = new Map();
      const middle = (cluster) => [cluster.x / cluster.rows.length, cluster.y / cluster.rows.length];
      for (const [key, cluster] of [...found].sort((one, other) => other[1].all - one[1].all)) {
        const [x, y] = middle(cluster);
        const near = [...kept.values()].find((other) => {
          const [at_x, at_y] = middle(other);
          return Math.hypot(x - at_x, y - at_y) < APART_PX;
        });
        if (!near) {
          kept.set(key, cluster);
          continue;
        }
        near.rows = near.rows.concat(cluster.rows);
        for (const sum of ["all", "bad", "unsure", "x", "y"]) near[sum] += cluster[sum];
      }
      return kept;
    },

    _mark(key, cluster) {
      const n = cluster.rows.length;
      const share = cluster.all ? cluster.bad / cluster.all : 0;
      const level = this._level(share, cluster.unsure / cluster.all);
      const sites = new Set(cluster.rows.map((row) => row[WHERE])).size;
      const name = sites === 1 ? cluster.rows[0][NAME] : this._told.sites.replace("{n}", sites);
      const said = `${name}: ${this._told.of.replace("{bad}", cluster.bad).replace("{all}", cluster.all)}, ${this._told.levels[level]}`;
      let mark = this._marks.get(key);
      if (mark?.said === said) return;
      const face = element("span", `map-mark level-${level}`);
      face.append(element("span", "shape"), element("span", "number", level === 3 ? "?" : this._percent(share)));
      const size = Math.min(58, 34 + Math.round(8 * Math.log10(cluster.all)));
      const icon = L.divIcon({ html: face, className: "map-place", iconSize: [size, size] });
      if (mark) {
        mark.setIcon(icon);
      } else {
        const at = this._map.unproject([cluster.x / n, cluster.y / n], this._map.getZoom());
        mark = L.marker(at, { icon, riseOnHover: true }).addTo(this._group);
        mark.on("click keypress", (event) => {
          if (event.type === "keypress" && !["Enter", " "].includes(event.originalEvent.key)) return;
          this._open(mark);
        });
        this._marks.set(key, mark);
      }
      Object.assign(mark, { said, cluster });
      mark.setZIndexOffset(1000 * (level % 3));
      const shown = mark.getElement();
      shown.ariaLabel = shown.title = said;
    },

    _percent(share) {
      return share > 0 && share < 0.01 ? "<1%" : `${Math.round(100 * share)}%`;
    },

    // A place in the list of levels: none, some, many, unknown.
    _level(share, unsure) {
      if (share === 0) return unsure >= this._told.unsure ? 3 : 0;
      return share < this._told.many ? 1 : 2;
    },

    _open(mark) {
      const rows = mark.cluster.rows;
      const places = new Set(rows.map((row) => row[WHERE]));
      if (places.size === 1) {
        window.location.assign(rows[0][WHERE]);
        return;
      }
      const bounds = L.latLngBounds(rows.map((row) => [row[LAT], row[LON]]));
      const zoom = this._map.getBoundsZoom(bounds, false, L.point(60, 60));
      if (zoom > this._map.getZoom()) this._map.setView(bounds.getCenter(), zoom);
      else mark.unbindPopup().bindPopup(this._list(rows), { maxHeight: 260 }).openPopup();
    },

    _list(rows) {
      const list = element("ul", "map-names");
      for (const row of [...rows].sort((one, other) => other[BAD] - one[BAD]).slice(0, MOST_NAMES)) {
        const link = element("a", "", row[NAME]);
        link.href = row[WHERE];
        const item = element("li");
        item.append(link, ` ${this._told.of.replace("{bad}", row[BAD]).replace("{all}", row[ALL])}`);
        list.append(item);
      }
      return list;
    },

    _drawGrid() {
      this._under.clearLayers();
      if (this._told.grid) this._drawLines();
      if (this._told.labels) this._drawNames();
    },

    _drawLines() {
      const map = this._map;
      const seen = map.getBounds().pad(0.1);
      const degree_px = (256 * 2 ** map.getZoom()) / 360;
      const step = STEPS.findLast((each) => each * degree_px >= LINE_PX) ?? STEPS[0];
      const look = { className: "map-line", interactive: false, weight: 1 };
      const [south, north] = [Math.max(-85, seen.getSouth()), Math.min(85, seen.getNorth())];
      for (let lon = Math.ceil(seen.getWest() / step) * step; lon <= seen.getEast(); lon += step)
        L.polyline([[south, lon], [north, lon]], look).addTo(this._under);
      for (let lat = Math.ceil(south / step) * step; lat <= north; lat += step)
        L.polyline([[lat, seen.getWest()], [lat, seen.getEast()]], look).addTo(this._under);
    },

    // Where a region is, as the middle of its sites: something to find one's way by.
    _drawNames() {
      this._middles ??= this._findMiddles();
      for (const [name, [lat, lon, n]] of this._middles) {
        const icon = L.divIcon({ html: element("span", "", name), className: "map-name", iconSize: [160, 20], iconAnchor: [80, -26] });
        L.marker([lat / n, lon / n], { icon, interactive: false, keyboard: false }).addTo(this._under);
      }
    },

    _findMiddles() {
      const middles = new Map();
      for (const row of this._rows) {
        if (row[KEY] === null) continue;
        const sum = middles.get(row[KEY]) ?? [0, 0, 0];
        middles.set(row[KEY], [sum[0] + row[LAT], sum[1] + row[LON], sum[2] + 1]);
      }
      return middles;
    },
  });

  L.posdiagSites = (rows, told) => new Sites(rows, told);
})();
