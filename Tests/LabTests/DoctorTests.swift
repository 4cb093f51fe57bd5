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

/// What `perilune doctor` says of a real site, run as an operator runs it.
@Suite("Doctor on real sites", .serialized, .enabled(if: mayMakeLabs, "the lab needs root"))
struct DoctorTests {
    private static let web = LabGuest(name: "web", address: "10.77.0.12")
    private static let own = LabGuest(name: "vmm01", address: "10.77.0.10")

    @Test("A healthy site passes; a stopped agent, a full store and a missing network are named, each with its cure")
    func doctor() async throws {
        try await RecoveryLab.with("doctor", guests: [Self.own, Self.web]) { site in
            try await setUp(site)
            let unattended = try doctor(site, [])
            #expect(unattended.failing == ["vault replicator-runs"], "\(unattended.text)")
            // Cycles of a real one would get in the way of the faults below.
            let replicator = Task { [engine = site.engine] in
                try await ReplicatorPost(engine: engine).hold { try await Task.sleep(for: .seconds(600)) }
            }
            defer { replicator.cancel() }
            while try await !site.engine.replicatorStanding().isRunning { await Task.yield() }
            let healthy = try await timed("doctor on a healthy site") { try doctor(site, []) }
            #expect(healthy.status == 0, "\(healthy.text)")
            #expect(healthy.report.ready)
            #expect(healthy.failing == [])
            // What the lab's guests do not have is warned of, and nothing else.
            let warnings = Set(healthy.report.findings.filter { $0.verdict == .warn }.map(\.check))
            #expect(
                warnings.isSubset(of: ["guest-agent", "test-failover", "target-memory", "store-space"]),
                "\(healthy.text)")
            let links = healthy.report.findings.filter { $0.check == "replication-port" }
            #expect(links.count == 2 && links.allSatisfy { $0.verdict == .ok }, "\(links)")
            print(try text(site, []))

            try storeFull(site)
            try await networkMissing(site)
            try await agentStopped(site)
        }
    }

    @Test("A VM with as many disks as doctor calls measured is replicated, failed over, and boots")
    func manyDisks() async throws {
        let guest = LabGuest(name: "many", address: "10.77.0.20", disks: 2)
        try await RecoveryLab.with("disks", guests: [guest]) { site in
            try await addDisks(site, guest, upTo: 32)
            _ = try await site.answer(of: guest, at: .a)
            let relationship = try await site.replicate(guest)
            #expect(relationship.disks.count == 32)
            _ = try await site.perform(.sync, on: guest)
            let findings = try await SiteInspection(engine: site.engine).vm(named: "many", on: [site.hostA.id])
            #expect(findings.first { $0.check == "disk-count" }?.verdict == .ok)
            #expect(findings.filter { $0.check == "disks-track-changes" && $0.verdict == .ok }.count == 32)
            _ = try await site.perform(.unplannedFailover, on: guest, ["source": "fence"])
            let report = try await site.answer(of: guest, at: .b)
            #expect(report.intact)
        }
    }

    /// Defines the guest anew with small empty disks beside its own.
    private func addDisks(_ site: RecoveryLab, _ guest: LabGuest, upTo count: Int) async throws {
        let hypervisor = try await site.engine.hosts.hypervisor(site.hostA.id)
        let domain = try #require(try await hypervisor.domain(named: guest.name))
        try await hypervisor.destroy(uuid: domain.uuid)
        let letters = Array("abcdefghijklmnopqrstuvwxyz").map { String($0) }
        let names = (letters + letters.map { "a" + $0 })[domain.disks.count..<count].map { "vd" + $0 }
        let folder = URL(filePath: try #require(domain.disks[0].path)).deletingLastPathComponent().path
        var devices = ""
        for name in names {
            let path = "\(folder)/\(guest.name)-\(name).qcow2"
            try site.run(at: .a, ["qemu-img", "create", "-q", "-f", "qcow2", path, "16M"])
            devices +=
                "<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='\(path)'/>"
                + "<target dev='\(name)' bus='virtio'/></disk>"
        }
        let xml = try await hypervisor.inactiveXML(uuid: domain.uuid)
        try await hypervisor.define(xml: xml.replacingOccurrences(of: "</devices>", with: devices + "</devices>"))
        try await hypervisor.start(uuid: domain.uuid, paused: false)
    }

    private func setUp(_ site: RecoveryLab) async throws {
        let engine = site.engine
        let server = try await engine.ensureServer(name: "vmm01", managementVM: "vmm01")
        let gold = try await engine.ensureCloud(name: "gold", server: server.id, hosts: [site.hostA.id])
        let silver = try await engine.ensureCloud(name: "silver", server: server.id, hosts: [site.hostB.id])
        try await engine.ensurePair(primary: gold, recovery: silver, policy: site.policy)
        try await engine.ensureNetworkMapping(
            cloud: gold, network: "gold-net", targetCloud: silver, targetNetwork: "silver-net")
        _ = try await site.replicate(Self.own)
        try await engine.protect(vm: "web", in: gold)
    }

    private func storeFull(_ site: RecoveryLab) throws {
        let ballast = "\(site.hostB.store)/../ballast"
        // To the last block, also of those that the file system keeps for root: the agent is root here.
        try site.run(at: .b, ["sh", "-c", "dd if=/dev/zero of=\(ballast) bs=1M 2>/dev/null || true"])
        let found = try doctor(site, ["host-b"])
        #expect(found.status == 3)
        // Whether a last block can still be had is the file system's affair.
        let expected: Set = ["host-b store-space", "host-b scratch-space"]
        #expect(Set(found.failing).subtracting(["host-b store-writable"]) == expected, "\(found.text)")
        #expect(found.cause("scratch-space")?.contains("the largest VM needs 256.0 MiB") == true)
        try site.run(at: .b, ["rm", ballast])
        #expect(try doctor(site, ["host-b"]).status == 0)
    }

    private func networkMissing(_ site: RecoveryLab) async throws {
        let virsh = ["virsh", "--connect", site.hostB.uri]
        try output(of: virsh + ["net-destroy", "silver-net"])
        let stopped = try doctor(site, ["gold", "web"])
        #expect(stopped.status == 3)
        #expect(stopped.failing == ["gold -> silver target-network", "web vm-network-mapped"], "\(stopped.text)")
        #expect(stopped.cause("vm-network-mapped")?.contains("not started") == true)
        let definition = try output(of: virsh + ["net-dumpxml", "silver-net"])
        try output(of: virsh + ["net-undefine", "silver-net"])
        let missing = try doctor(site, ["gold", "web"])
        #expect(missing.failing == stopped.failing, "\(missing.text)")
        #expect(missing.cause("vm-network-mapped")?.contains("no network 'silver-net'") == true)
        let file = "\(site.lab.configuration.root)/silver-net.xml"
        try definition.write(toFile: file, atomically: true, encoding: .utf8)
        try output(of: virsh + ["net-define", file])
        try output(of: virsh + ["net-start", "silver-net"])
        #expect(try doctor(site, ["gold", "web"]).status == 0)
    }

    /// The last fault: nothing starts the agent again.
    private func agentStopped(_ site: RecoveryLab) async throws {
        let agent = try await site.engine.hosts.agent(site.hostB.id)
        kill(try await agent.status().processID, SIGKILL)
        let found = try doctor(site, [])
        #expect(found.status == 3)
        #expect(
            Set(found.failing) == ["host-a replication-port", "host-b agent-answers"], "\(found.text)")
        let finding = found.report.findings.first { $0.check == "agent-answers" && $0.verdict == .fail }
        #expect(finding?.fix?.contains("perilune agent --site b") == true)
        let skipped = found.report.findings.filter { $0.object == "host-b" && $0.verdict == .skipped }
        #expect(skipped.count > 5 && skipped.allSatisfy { $0.cause.contains("agent") })
        print(try text(site, ["--problems"]))
    }

    // MARK: Running it

    private struct Visit {
        var status: Int32
        var text: String
        var report: InspectionReport

        /// "object check" of each failing line, once each.
        var failing: [String] {
            var all: [String] = []
            for finding in report.findings where finding.verdict == .fail {
                let name = "\(finding.object) \(finding.check)"
                if !all.contains(name) { all.append(name) }
            }
            return all
        }

        func cause(_ check: String) -> String? {
            report.findings.first { $0.check == check && $0.verdict == .fail }?.cause
        }
    }

    private func doctor(_ site: RecoveryLab, _ words: [String]) throws -> Visit {
        let (status, text) = try Self.run([builtProgram, "doctor", "--json", "--vault", site.vaultPath] + words)
        return Visit(
            status: status, text: text, report: try JSONDecoder().decode(InspectionReport.self, from: Data(text.utf8)))
    }

    private func text(_ site: RecoveryLab, _ words: [String]) throws -> String {
        try Self.run([builtProgram, "doctor", "--vault", site.vaultPath] + words).text
    }

    private static func run(_ words: [String]) throws -> (status: Int32, text: String) {
        let result = try Program.run(words)
        return (result.status, result.output)
    }
}
