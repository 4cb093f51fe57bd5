import Foundation
import Glibc

/// A site that runs on and cannot be reached: the link between the sites is down, and so is the way to it from outside.
extension Lab {
    /// Cuts a site off from everybody; its guests, libvirtd and agent go on, and it can be entered by `nsenter` alone.
    ///
    /// Connections that are open end too. A site that is cut off already stays so.
    package func cut(_ site: SiteName) async throws(LabError) {
        try Requirements.checkRights()
        try checkIsLab()
        try await LabLock.holding(root: configuration.root) { () throws(LabError) in
            let layout = layout(of: site)
            let holder = try runningHolder(of: site)
            try await SiteNetwork(layout: layout).cut()
            if !isCut(site), rename(layout.run, layout.cutRun) != 0 {
                throw LabError(.file, "\(layout.run) cannot be renamed: \(String(cString: strerror(errno))).")
            }
            try await disconnectClients(of: site, in: holder)
            try await restartAgent(of: site, in: holder)
        }
    }

    /// Ends the partition: everybody finds the site again, as it is by now.
    package func heal(_ site: SiteName) async throws(LabError) {
        try Requirements.checkRights()
        try checkIsLab()
        try await LabLock.holding(root: configuration.root) { () throws(LabError) in
            _ = try runningHolder(of: site)
            try uncut(site)
            try await SiteNetwork(layout: layout(of: site)).ensureLink(to: SiteNetwork(layout: layout(of: site.other)))
        }
    }

    /// Whether a site is cut off.
    package func isCut(_ site: SiteName) -> Bool { access(layout(of: site).cutRun, F_OK) == 0 }

    /// Puts the site's sockets back where others look for them.
    func uncut(_ site: SiteName) throws(LabError) {
        guard isCut(site) else { return }
        let layout = layout(of: site)
        // Only an empty one is in the way: a command that makes the lab's folders may have made it.
        rmdir(layout.run)
        guard rename(layout.cutRun, layout.run) == 0 else {
            throw LabError(.file, "\(layout.cutRun) cannot be renamed: \(String(cString: strerror(errno))).")
        }
    }

    /// Has the site's libvirtd drop everybody that is connected to it.
    private func disconnectClients(of site: SiteName, in holder: ProcessRecord) async throws(LabError) {
        let admin = SiteStorage.entry(to: holder) + ["virt-admin", "--connect", "libvirtd:///system"]
        let list = try await Command(admin + ["client-list", "libvirtd"]).output(
            hint: "virt-admin is in libvirt-clients")
        for line in list.split(separator: "\n") {
            guard let id = line.split(separator: " ").first, Int(id) != nil else { continue }
            // One that has gone by itself is gone.
            _ = try await Command(admin + ["client-disconnect", "libvirtd", String(id)]).result()
        }
    }

    private func restartAgent(of site: SiteName, in holder: ProcessRecord) async throws(LabError) {
        if let agent = Daemon(name: "agent", layout: layout(of: site)).running {
            kill(agent.pid, SIGKILL)
            try await wait(for: "The end of the agent of site \(site.rawValue)", within: .seconds(10)) {
                !agent.isRunning
            }
        }
        try await ensureAgent(of: site, in: holder)
    }
}
