import SiteModel

/// How many cycles may run at once.
package struct CycleLimits: Hashable, Sendable {
    /// Of VMs at one host.
    ///
    /// A running backup costs its guest writes, and the host reads.
    package var perSource: Int
    /// Into one host's store.
    package var perTarget: Int
    /// Between two sites.
    package var perLink: Int

    package init(perSource: Int = 4, perTarget: Int = 16, perLink: Int = 32) {
        self.perSource = max(1, perSource)
        self.perTarget = max(1, perTarget)
        self.perLink = max(1, perLink)
    }
}

/// What a cycle occupies while it runs.
struct CycleRoute: Hashable, Sendable {
    var source: String
    var target: String
    var sourceSite: String
    var targetSite: String
}

/// What is free of what cycles occupy.
struct CycleRoom {
    private enum Place: Hashable {
        case source(String)
        case target(String)
        case link(String, String)
    }

    let limits: CycleLimits
    private var taken: [Place: Int] = [:]

    init(limits: CycleLimits) {
        self.limits = limits
    }

    private static func places(_ route: CycleRoute) -> [Place] {
        [.source(route.source), .target(route.target), .link(route.sourceSite, route.targetSite)]
    }

    private func limit(_ place: Place) -> Int {
        switch place {
        case .source: limits.perSource
        case .target: limits.perTarget
        case .link: limits.perLink
        }
    }

    func has(_ route: CycleRoute) -> Bool {
        Self.places(route).allSatisfy { taken[$0, default: 0] < limit($0) }
    }

    mutating func take(_ route: CycleRoute) {
        for place in Self.places(route) { taken[place, default: 0] += 1 }
    }

    mutating func give(_ route: CycleRoute) {
        for place in Self.places(route) {
            let left = taken[place, default: 0] - 1
            taken[place] = left > 0 ? left : nil
        }
    }
}
