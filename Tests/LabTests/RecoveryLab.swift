import BlockReplication
import Foundation
import Glibc
import Hypervisors
import Lab
import RecoveryEngine
import SiteModel
import TestSupport
import Testing
import VaultStore

/// The `perilune` program that was built beside the tests: sites run it as their agents.
let builtProgram: String = {
    let tests = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
    // Swift Testing runs the test bundle itself, or a helper of the toolchain with the bundle among its arguments.
    let bundle = CommandLine.arguments.first { $0.hasSuffix(".xctest") } ?? tests
    return URL(filePath: bundle).deletingLastPathComponent().appending(path: "perilune").path
}()

/// A lab with agents and guests, a vault in it, and an engine: what the tests of recovery share.
struct RecoveryLab: Sendable {
    let lab: Lab
    let engine: RecoveryEngine
    let hostA: SiteModel.Host
    let hostB: SiteModel.Host
    let policy: Policy

    var vaultPath: String { "\(lab.configuration.root)/vault/vault.db" }

    /// Makes the lab with these guests at site a, runs `body`, and takes all of it down.
    static func with(
        _ name: String, guests: [LabGuest], siteBytes: Int64 = 2 << 30, recoveryPoints: Int = 4,
        _ body: (RecoveryLab) async throws -> Void
    ) async throws {
        try await withLab(name, agentProgram: builtProgram, siteBytes: siteBytes) { lab in
            try await lab.up()
            try await lab.createGuests(guests, at: .a)
            let engine = try makeEngine("\(lab.configuration.root)/vault/vault.db", holder: "test", create: true)
            let hostA = try await engine.ensureHost(host(lab.siteDescription(.a), "host-a"))
            let hostB = try await engine.ensureHost(host(lab.siteDescription(.b), "host-b"))
            let policy = try await engine.ensurePolicy(
                Policy(
                    id: RandomIdentifiers().next(), name: "fast", copyFrequencySeconds: 30,
                    recoveryPoints: recoveryPoints))
            try await body(
                RecoveryLab(lab: lab, engine: engine, hostA: hostA, hostB: hostB, policy: policy))
        }
    }

    /// An engine of its own over the lab's vault, as another process would have.
    static func makeEngine(_ vaultPath: String, holder: String, create: Bool = false) throws -> RecoveryEngine {
        RecoveryEngine(
            EngineDependencies(
                vault: try SQLiteVault.open(path: vaultPath, create: create), connections: LibvirtConnections(),
                fencing: CommandFencing(), clock: SystemClock(), identifiers: RandomIdentifiers(), holder: holder,
                leaseLifetime: 5))
    }

    private static func host(_ site: SiteDescription, _ name: String) -> SiteModel.Host {
        SiteModel.Host(
            id: RandomIdentifiers().next(), name: name, site: site.name, uri: site.libvirtURI,
            agentSocket: site.agentSocket, agentAddress: site.agentDataAddress, store: site.store, fence: site.fence)
    }

    /// Replicates a guest from a to b by the hosts alone.
    func replicate(_ guest: LabGuest) async throws -> Relationship {
        try await timed("first copy of \(guest.name)") {
            try await engine.replicate(
                vm: guest.name, from: hostA, to: hostB, policy: policy,
                networks: ["gold-net": "silver-net"])
        }
    }

    func relationship(_ guest: LabGuest) async throws -> Relationship {
        let name = guest.name
        let found = try await engine.vault.read { try $0.object(Relationship.self, named: name, parent: nil)?.value }
        return try #require(found)
    }

    func perform(
        _ operation: SiteModel.Operation, on guest: LabGuest, _ arguments: [String: String] = [:]
    ) async throws -> Job {
        let id = try await relationship(guest).id
        return try await timed("\(operation.rawValue) of \(guest.name)") {
            try await engine.perform(operation, on: id, arguments: arguments)
        }
    }

    /// What a guest says once it answers at a site and suits; it boots for some seconds before that.
    func answer(
        of guest: LabGuest, at site: SiteName, network: String? = nil,
        until suits: (GuestReport) -> Bool = { $0.records > $0.bootRecords }
    ) async throws -> GuestReport {
        var last: GuestReport?
        try await LabTests.until("\(guest.name) answers at site \(site.rawValue)", within: .seconds(90)) {
            last = try? await lab.report(from: guest.address, at: site, network: network, limit: 2)
            return last.map(suits) ?? false
        }
        return try #require(last)
    }

    /// Numbers of the points that the vault lists.
    func points(_ guest: LabGuest) async throws -> [Int] {
        let id = try await relationship(guest).id
        return try await engine.vault.read { vault in
            try vault.objects(RecoveryPoint.self, parent: id).map(\.value.number)
        }
    }

    func power(_ guest: LabGuest, at site: SiteName) async throws -> PowerState? {
        let host = site == .a ? hostA : hostB
        return try await engine.hosts.hypervisor(host.id).domain(named: guest.name)?.power
    }

    /// Runs a command inside a site's namespaces and returns its output.
    @discardableResult
    func run(at site: SiteName, _ words: [String]) throws -> String {
        try output(of: lab.entry(to: site) + words)
    }

    /// Boots the newest point beside production as a test, and asks the guest itself.
    func expectReplicaWhole(_ guest: LabGuest) async throws {
        let records = try await lab.report(from: guest.address, at: .a).records
        _ = try await perform(.sync, on: guest)
        _ = try await perform(.testFailover, on: guest, ["network": "test-net"])
        let tested = try await answer(of: guest, at: .b, network: "test-net")
        #expect(tested.intact, "\(tested.error)")
        #expect(tested.bootRecords >= records, "the point holds all that was written before its cycle began")
        _ = try await perform(.cleanUpTest, on: guest)
        #expect(try await power(guest, at: .a) == .running)
    }

    func qemuProcess(of guest: LabGuest) throws -> pid_t {
        let text = try run(at: .a, ["cat", "/run/libvirt/qemu/\(guest.name).pid"])
        return try #require(pid_t(text.trimmingCharacters(in: .whitespacesAndNewlines)), "\(text)")
    }

    /// Content of one disk as raw bytes' SHA-256, read inside its site.
    func digest(of image: DiskImage, at site: SiteName) throws -> String {
        let raw = "\(lab.configuration.root)/\(site.rawValue)/digest.raw"
        try run(at: site, ["qemu-img", "convert", "-U", "-O", "raw", "-f", image.format, image.path, raw])
        defer { unlink(raw) }
        return try String(run(at: site, ["sha256sum", raw]).prefix(64))
    }
}

/// Runs a command to its end; what it says on standard error is in the failure.
@discardableResult
func output(of words: [String]) throws -> String {
    let result = try Program.run(words)
    try #require(result.status == 0, "\(words.joined(separator: " ")): \(result.errors)")
    return result.output
}

/// Waits until something is so.
func until(
    _ what: Comment, within limit: Duration = .seconds(120), _ holds: () async throws -> Bool
) async throws {
    let deadline = ContinuousClock.now + limit
    while try await !holds() {
        try #require(ContinuousClock.now < deadline, what)
        try await Task.sleep(for: .milliseconds(20))
    }
}
