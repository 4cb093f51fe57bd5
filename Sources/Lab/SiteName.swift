/// One of the lab's two sites.
package enum SiteName: String, Sendable, Hashable, CaseIterable, Codable {
    /// The primary site, of cloud `gold`.
    case a
    /// The recovery site, of cloud `silver`.
    case b

    /// Reads a site's name as an operator types it.
    ///
    /// - Throws: `invalid` when there is no such site.
    package init(parsing text: String) throws(LabError) {
        guard let site = SiteName(rawValue: text) else {
            throw LabError(.invalid, "The lab has no site '\(text)'.", hint: "its sites are 'a' and 'b'")
        }
        self = site
    }

    package var other: SiteName { self == .a ? .b : .a }
}

/// A libvirt network of a site, and the bridge its guests are connected to.
package struct SiteBridge: Sendable, Hashable {
    package let network: String
    package let bridge: String
    /// Whether guests here are apart from the production network, as a test failover wants them.
    package let isolated: Bool
}

extension SiteName {
    /// The networks of this site: production first, then the isolated one.
    ///
    /// Both sites have the same subnet and neither reaches the other's: a subnet fails over as a whole and addresses
    /// stay.
    package var bridges: [SiteBridge] {
        let production =
            self == .a
            ? SiteBridge(network: "gold-net", bridge: "gold0", isolated: false)
            : SiteBridge(network: "silver-net", bridge: "silver0", isolated: false)
        return [production, SiteBridge(network: "test-net", bridge: "test0", isolated: true)]
    }

    /// The address of the site's end of the link between the sites.
    package var dataAddress: String { self == .a ? "10.99.0.1" : "10.99.0.2" }
}
