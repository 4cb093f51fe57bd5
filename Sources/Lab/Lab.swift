import Foundation
import Glibc

/// Two sites on one machine, each a libvirtd with real guests and an agent, that can be lost and returned.
///
/// A site is a mount namespace, a network namespace and a file system that only it mounts. Losing it ends every
/// process in its mount namespace; the mounts go with the last of them. Every function looks at the world and does
/// what is missing, so each may be repeated, also after a command that died half-way.
package struct Lab: Sendable {
    package let configuration: LabConfiguration

    package init(_ configuration: LabConfiguration) {
        self.configuration = configuration
    }

    /// The names and places of a site.
    package func layout(of site: SiteName) -> SiteLayout { SiteLayout(site, in: configuration) }

    /// Makes both sites, or brings up what is missing of them; a lost site returns.
    ///
    /// Guests are not started.
    package func up() async throws(LabError) {
        try Requirements.check()
        try makeRoot()
        try await LabLock.holding(root: configuration.root) { () throws(LabError) in
            try installGuestFiles()
            for site in SiteName.allCases { try uncut(site) }
            for site in SiteName.allCases { try await ensureNetwork(of: site) }
            for site in SiteName.allCases { try await ensure(site) }
        }
    }

    /// Ends a site at one instant: link cut, every process killed, file system gone from sight, loop device free.
    ///
    /// Its disks, as they were, wait for `returnSite`. A site that is lost already stays so.
    package func lose(_ site: SiteName) async throws(LabError) {
        try Requirements.checkRights()
        try checkIsLab()
        try await LabLock.holding(root: configuration.root) { () throws(LabError) in
            try await SiteNetwork(layout: layout(of: site)).cut()
            try await end(site)
            try uncut(site)
            try storage(of: site).emptyRunDirectory()
        }
    }

    /// Brings a lost site back: mounts its disks and starts its libvirtd and agent.
    ///
    /// Its guests stay off.
    package func returnSite(_ site: SiteName) async throws(LabError) {
        try Requirements.check()
        try checkIsLab()
        try await LabLock.holding(root: configuration.root) { () throws(LabError) in
            try uncut(site)
            for each in SiteName.allCases { try await ensureNetwork(of: each) }
            try await ensure(site)
        }
    }

    /// Ends both sites and removes all there is of the lab, whatever state it is in.
    ///
    /// Without a root directory it still ends processes and removes network namespaces that a lab there left behind.
    package func down() async throws(LabError) {
        try Requirements.checkRights()
        guard access(configuration.root, F_OK) == 0 else { return try await endAll() }
        try checkIsLab()
        try await LabLock.holding(root: configuration.root) { () throws(LabError) in
            try await endAll()
            try removeRoot()
        }
    }

    // MARK: - A site

    private func ensureNetwork(of site: SiteName) async throws(LabError) {
        try makeDirectories(layout(of: site).plainDirectories)
        try await SiteNetwork(layout: layout(of: site)).ensure()
    }

    private func ensure(_ site: SiteName) async throws(LabError) {
        let layout = layout(of: site)
        try await SiteNetwork(layout: layout).ensureLink(to: SiteNetwork(layout: self.layout(of: site.other)))
        try await storage(of: site).ensureImage(bytes: configuration.siteBytes)
        let holder = try await storage(of: site).ensureMounted()
        try await Command(SiteStorage.entry(to: holder) + ["mkdir", "-p", layout.images, layout.store]).output()
        let capabilities = CapabilityCache(configuration: configuration)
        try await installHook(at: site, in: holder)
        try await LibvirtDaemon(layout: layout, capabilities: capabilities).ensure(in: holder)
        try await ensureAgent(of: site, in: holder)
    }

    /// The program that sites run as their agent and libvirt's hook; nil for a lab without agents.
    private func agentProgram() throws(LabError) -> String? {
        guard let program = configuration.agentProgram else { return nil }
        guard access(program, X_OK) == 0 else {
            throw LabError(.missing, "\(program) is not there to run as agent.", hint: "swift build makes perilune")
        }
        return program
    }

    /// Before libvirtd starts: it looks for hooks then.
    private func installHook(at site: SiteName, in holder: ProcessRecord) async throws(LabError) {
        guard let program = try agentProgram() else { return }
        let layout = layout(of: site)
        let words = [program, "agent", "install-hook", "--store", layout.store, "--runtime", layout.runtime]
        try await Command(SiteStorage.entry(to: holder) + words).output()
    }

    func ensureAgent(of site: SiteName, in holder: ProcessRecord) async throws(LabError) {
        guard let program = try agentProgram() else { return }
        let layout = layout(of: site)
        let agent = Daemon(name: "agent", layout: layout)
        if agent.running == nil {
            let identity = try await issueIdentity(of: site, program)
            let words = [
                program, "agent", "--site", site.rawValue, "--socket", "\(layout.ownRun)/agent.sock", "--listen",
                dataAddress(of: site), "--store", layout.store, "--runtime", layout.runtime, "--tls", identity,
            ]
            try await agent.start(words, through: SiteStorage.entry(to: holder))
        }
        let run = isCut(site) ? layout.cutRun : layout.run
        try await agent.waitUntilAnswering(at: "\(run)/agent.sock")
    }

    /// The file with the key and certificate of a site's agent, made anew; the lab's authority is made for the first.
    private func issueIdentity(of site: SiteName, _ program: String) async throws(LabError) -> String {
        let authority = "\(configuration.root)/authority"
        if access("\(authority)/authority.pem", F_OK) != 0 {
            // By way of env: programs are looked for by name.
            try await Command(["env", program, "authority", "create", "--authority", authority]).output()
        }
        let file = layout(of: site).identity
        let words = ["authority", "issue", "--authority", authority, "--out", file, site.dataAddress]
        try await Command(["env", program] + words).output()
        return file
    }

    private func endAll() async throws(LabError) {
        for site in SiteName.allCases {
            try await end(site)
            let processes = processes(of: site)
            for pid in try await processes.strayProcesses() { kill(pid, SIGKILL) }
            try await SiteNetwork(layout: processes.layout).remove()
        }
    }

    private func end(_ site: SiteName) async throws(LabError) {
        let layout = layout(of: site)
        try await processes(of: site).killAll()
        try await storage(of: site).releaseLoopDevice()
        for name in ["holder", "libvirtd", "agent"] { unlink(Daemon(name: name, layout: layout).recordFile) }
    }

    private func holder(of site: SiteName) -> Daemon { Daemon(name: "holder", layout: layout(of: site)) }

    private func storage(of site: SiteName) -> SiteStorage {
        SiteStorage(layout: layout(of: site), holder: holder(of: site))
    }

    private func processes(of site: SiteName) -> SiteProcesses {
        SiteProcesses(layout: layout(of: site), holder: holder(of: site))
    }

    /// The process that a command inside the site is started through.
    ///
    /// - Throws: `notFound` when the site is not up.
    func runningHolder(of site: SiteName) throws(LabError) -> ProcessRecord {
        guard let record = holder(of: site).running else {
            throw LabError(
                .notFound, "Site \(site.rawValue) is not up.",
                hint: "perilune lab up, or perilune lab return \(site.rawValue)")
        }
        return record
    }

    /// The words that run a program inside a site, before the program's own.
    ///
    /// - Throws: `notFound` when the site is not up.
    package func entry(to site: SiteName) throws(LabError) -> [String] {
        SiteStorage.entry(to: try runningHolder(of: site))
    }

    // MARK: - The root directory

    /// What tells a lab's directory from any other: only such a one is ever removed.
    private var marker: String { "\(configuration.root)/perilune-lab" }

    private func makeRoot() throws(LabError) {
        let entries = try? FileManager.default.contentsOfDirectory(atPath: configuration.root)
        if let entries, !entries.isEmpty { return try checkIsLab() }
        try makeDirectories([configuration.root])
        guard FileManager.default.createFile(atPath: marker, contents: Data("1\n".utf8)) else {
            throw LabError(.file, "\(marker) cannot be written.")
        }
    }

    /// Refuses a root where no lab was set up.
    package func checkIsThere() throws(LabError) {
        try checkIsLab()
        guard access(marker, F_OK) == 0 else { throw LabLock.noLab(at: configuration.root) }
    }

    func checkIsLab() throws(LabError) {
        if access(marker, F_OK) == 0 { return }
        guard let entries = try? FileManager.default.contentsOfDirectory(atPath: configuration.root) else {
            throw LabLock.noLab(at: configuration.root)
        }
        if entries.isEmpty { return }
        throw LabError(
            .invalid, "\(configuration.root) is not a lab.", hint: "name another root, or empty this directory")
    }

    private func makeDirectories(_ paths: [String]) throws(LabError) {
        do {
            for path in paths {
                try FileManager.default.createDirectory(
                    atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
            }
        } catch {
            throw LabError(.file, "The lab's directories cannot be made in \(configuration.root).", cause: error)
        }
    }

    private func removeRoot() throws(LabError) {
        // A mount of someone else's below the root must not be emptied through it.
        if let mounted = MountTable(pid: getpid())?.below(configuration.root).first {
            throw LabError(.busy, "\(mounted) is mounted.", hint: "umount \(mounted), then run the command again")
        }
        do { try FileManager.default.removeItem(atPath: configuration.root) } catch {
            throw LabError(.file, "\(configuration.root) cannot be removed.", cause: error)
        }
    }
}
