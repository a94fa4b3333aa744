// SPDX-License-Identifier: Apache-2.0
// Finds the handler for a method and a path.
'use strict';

class Router {
  constructor(tables) {
    this.routes = [];
    for (const [method, template, handler, options = {}] of tables.flat()) {
      const names = [];
      const pattern = template.replace(/[.]/g, '\\.').replace(/\{([a-z_]+)\}/g, (_, name) => {
        names.push(name);
        return '([^/]+)';
      });
      this.routes.push({
        method,
        template,
        handler,
        options,
        names,
        pattern: new RegExp(`^${pattern}$`),
      });
    }
    // A fixed word wins over a parameter in its place: /users/me is no user id.
    this.routes.sort((a, b) => a.names.length - b.names.length);
    this.byMethod = new Map();
    for (const route of this.routes) {
      this.byMethod.set(route.method, [...(this.byMethod.get(route.method) || []), route]);
    }
  }

  // { route, params }; { isKnownPath } alone when only the method is wrong.
  find(method, path) {
    for (const route of this.byMethod.get(method) || []) {
      const found = route.pattern.exec(path);
      if (found) {
        const params = {};
        route.names.forEach((name, i) => {
          params[name] = decode(found[i + 1]);
        });
        return { route, params };
      }
    }
    return { route: null, isKnownPath: this.routes.some((r) => r.pattern.test(path)) };
  }
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

module.exports = { Router };
