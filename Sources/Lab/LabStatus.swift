import Foundation

/// How a site of the lab stands.
package struct SiteStatus: Sendable, Hashable, Codable {
    package enum State: String, Sendable, Hashable, Codable {
        /// Its namespaces and file system are there.
        case up
        /// It is up, and nobody outside can reach it.
        case cut
        /// It was up and is lost: its disks exist and nothing of it runs.
        case lost
        /// It does not exist.
        case down
    }

    package let site: SiteName
    package let state: State
    /// Whether its libvirtd answers at its socket.
    package let libvirtAnswers: Bool
    /// Whether its agent answers at its socket.
    package let agentAnswers: Bool
    /// Its VMs by name; empty when libvirt does not answer.
    package let guests: [GuestStatus]
}

/// How a VM of a site stands.
package struct GuestStatus: Sendable, Hashable, Codable {
    package let name: String
    /// libvirt's word: `running`, `paused`, `shut off`, `crashed` and the like.
    package let state: String
}

extension Lab {
    /// Looks at both sites.
    package func status() async throws(LabError) -> [SiteStatus] {
        try Requirements.checkRights()
        var all: [SiteStatus] = []
        for site in SiteName.allCases { all.append(try await status(of: site)) }
        return all
    }

    /// Looks at one site.
    package func status(of site: SiteName) async throws(LabError) -> SiteStatus {
        let layout = layout(of: site)
        let exists = FileManager.default.fileExists(atPath: layout.image)
        let holder = Daemon(name: "holder", layout: layout).running
        let libvirtAnswers = UnixSocket.answers(at: layout.libvirtSocket)
        return SiteStatus(
            site: site, state: holder != nil ? (isCut(site) ? .cut : .up) : exists ? .lost : .down,
            libvirtAnswers: libvirtAnswers,
            agentAnswers: UnixSocket.answers(at: layout.agentSocket),
            guests: libvirtAnswers ? try await guests(of: layout) : [])
    }

    private func guests(of layout: SiteLayout) async throws(LabError) -> [GuestStatus] {
        let virsh = ["virsh", "--connect", layout.libvirtURI]
        let names = try await Command(virsh + ["list", "--all", "--name"]).output().split(separator: "\n").map(
            String.init)
        var guests: [GuestStatus] = []
        for name in names.sorted() {
            // One that is undefined in between is no guest any more.
            let state = try await Command(virsh + ["domstate", name]).result()
            guard state.succeeded else { continue }
            guests.append(GuestStatus(name: name, state: state.output.trimmingCharacters(in: .whitespacesAndNewlines)))
        }
        return guests
    }
}
