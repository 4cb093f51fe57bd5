import BlockReplication
import Foundation
import Glibc
import Hypervisors
import Lab
import RecoveryEngine
import SiteModel
import TestSupport
import VaultStore

/// What went wrong in a round that must not.
struct RoundFailure: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}

/// Two sites with a wide-area link between them, a vault and an engine, on which one round after the other is played.
struct FaultSite: Sendable {
    let lab: Lab
    let engine: RecoveryEngine
    /// The same, with first copies in many short legs.
    let slowEngine: RecoveryEngine
    let hosts: [SiteName: SiteModel.Host]
    let link: WideAreaLink
    let copies: StoredCopies

    var vaultPath: String { "\(lab.configuration.root)/vault/vault.db" }

    /// Makes the sites, runs `body`, and takes all of it down whatever happened.
    ///
    /// Several may stand side by side, each a lane of its own.
    static func with(lane: Int = 0, _ body: (FaultSite) async throws -> Void) async throws {
        try await withLab("faults-\(lane)", agentProgram: builtProgram, siteBytes: 2 << 30) { lab in
            try await lab.up()
            try BareMachine.installFirmware(in: lab.configuration.root)
            let link = try await WideAreaLink(lab, WideAreaLink.Quality(), seed: 1)
            do {
                try await body(try await FaultSite(lab, link))
            } catch {
                try? await link.stop()
                throw error
            }
            try await link.stop()
        }
    }

    private init(_ lab: Lab, _ link: WideAreaLink) async throws {
        (self.lab, self.link) = (lab, link)
        copies = StoredCopies(lab: lab)
        engine = try RecoveryLab.makeEngine(
            "\(lab.configuration.root)/vault/vault.db", holder: "soak", create: true)
        var dependencies = engine.dependencies
        dependencies.legSeconds = 0.3
        slowEngine = RecoveryEngine(dependencies)
        var hosts: [SiteName: SiteModel.Host] = [:]
        for site in SiteName.allCases {
            let description = lab.siteDescription(site)
            hosts[site] = try await engine.ensureHost(
                SiteModel.Host(
                    id: RandomIdentifiers().next(), name: "host-\(site.rawValue)", site: site.rawValue,
                    uri: description.libvirtURI, agentSocket: description.agentSocket,
                    agentAddress: description.agentDataAddress, store: description.store, fence: description.fence))
        }
        self.hosts = hosts
    }

    func host(_ site: SiteName) throws -> SiteModel.Host {
        guard let host = hosts[site] else { throw RoundFailure("no host at \(site.rawValue)") }
        return host
    }

    func hypervisor(_ site: SiteName) async throws -> any Hypervisor {
        try await engine.hosts.hypervisor(try host(site).id)
    }

    func agentProcess(_ site: SiteName) async throws -> pid_t {
        try await engine.hosts.agent(try host(site).id).status().processID
    }

    /// The machine's state at a site; nil where it is not known.
    func power(of uuid: String, at site: SiteName) async throws -> PowerState? {
        try await hypervisor(site).domain(uuid: uuid)?.power
    }

    @discardableResult
    func run(at site: SiteName, _ words: [String]) throws -> String { try output(of: lab.entry(to: site) + words) }

    func freeBytes(at site: SiteName) throws -> Int {
        let text = try run(at: site, ["df", "--output=avail", "-B1", lab.layout(of: site).store])
        return Int(text.split(separator: "\n").last.map { $0.trimmingCharacters(in: .whitespaces) } ?? "") ?? 0
    }

    private func ballast(at site: SiteName) -> String { "\(lab.layout(of: site).fileSystem)/ballast" }

    /// Fills a site's file system but for so many bytes.
    func fill(_ site: SiteName, leaving rest: Int) throws {
        let free = try freeBytes(at: site)
        guard free > rest + 4096 else { return }
        // What is left may become less while this runs: then it is full, which is what is wanted.
        _ = try Program.run(lab.entry(to: site) + ["fallocate", "-l", "\(free - rest)", ballast(at: site)])
    }

    func empty(_ site: SiteName) throws { try run(at: site, ["rm", "-f", ballast(at: site)]) }

    /// What runs at a site, by the names of its programs and their numbers.
    func processes(at site: SiteName) throws -> [(pid: pid_t, name: String)] {
        let entry = try lab.entry(to: site)
        guard let target = entry.firstIndex(of: "--target").map({ entry[$0 + 1] }) else { return [] }
        let files = FileManager.default
        func namespace(_ pid: String) -> String? { try? files.destinationOfSymbolicLink(atPath: "/proc/\(pid)/ns/mnt") }
        let own = namespace(target)
        return try files.contentsOfDirectory(atPath: "/proc").compactMap { entry in
            guard let pid = pid_t(entry), namespace(entry) == own,
                let name = try? String(contentsOfFile: "/proc/\(entry)/comm", encoding: .utf8)
            else { return nil }
            return (pid, name.trimmingCharacters(in: .whitespacesAndNewlines))
        }
    }
}

/// Waits until something is so; a failure says what was waited for, in one line.
func untilSo(
    _ what: String, within limit: Duration = .seconds(300), isolation: isolated (any Actor)? = #isolation,
    _ holds: () async throws -> Bool
) async throws {
    let deadline = ContinuousClock.now + limit
    while try await !holds() {
        guard ContinuousClock.now < deadline else { throw RoundFailure("waited in vain until \(what)") }
        try await Task.sleep(for: .milliseconds(10))
    }
}
