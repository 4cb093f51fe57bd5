import Foundation

/// What the vault needs to know of a site: how it is reached and how it is fenced.
package struct SiteDescription: Sendable, Hashable, Codable {
    package let name: String
    package let libvirtURI: String
    /// The Unix socket of the agent's control protocol.
    package let agentSocket: String
    /// Where the site's agent takes data from the other's, as `address:port`.
    package let agentDataAddress: String
    /// The agent's store, on the site's file system.
    package let store: String
    /// The directory of the VMs' disks, on the site's file system.
    package let images: String
    /// The command that ends the site for certain, as an argument vector.
    package let fence: [String]
}

extension Lab {
    /// Describes a site, whether it is up or not.
    package func siteDescription(_ site: SiteName) -> SiteDescription {
        let layout = layout(of: site)
        return SiteDescription(
            name: site.rawValue, libvirtURI: layout.libvirtURI, agentSocket: layout.agentSocket,
            agentDataAddress: dataAddress(of: site), store: layout.store, images: layout.images,
            fence: [
                configuration.agentProgram ?? "perilune", "lab", "lose", site.rawValue, "--root", configuration.root,
            ])
    }

    func dataAddress(of site: SiteName) -> String { "\(site.dataAddress):\(configuration.agentPort)" }
}
