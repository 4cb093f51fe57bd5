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

/// Test failovers of real guests, and guests that take other addresses elsewhere.
@Suite("Test failover with real guests", .serialized, .enabled(if: mayMakeLabs, "the lab needs root"))
struct TestFailoverLabTests {
    private static let production = "10.77.0.11"
    private static let away = "10.77.0.51"
    private static let inTest = "10.78.0.61"

    @Test(
        "Apart from production, at a third address, gone with its time or engine; then a failover to a second address"
    )
    func drill() async throws {
        let guest = LabGuest(name: "orders", address: Self.production, recordsPerSecond: 50)
        try await RecoveryLab.with("drill", guests: [guest]) { site in
            _ = try await site.replicate(guest)
            try await setAddresses(site, guest)
            try await apart(site, guest)
            try await deadline(site, guest)
            try await engineKilled(site, guest)
            try await failedOver(site, guest)
        }
    }

    private func setAddresses(_ site: RecoveryLab, _ guest: LabGuest) async throws {
        func fixed(_ address: String) -> RecoveryEngine.NICChange {
            .set(NICAddressing(.static, address: IPv4Address(address), prefix: 24))
        }
        try await site.engine.setNIC(
            .index(1), of: site.relationship(guest).id, failover: fixed(Self.away), test: fixed(Self.inTest))
    }

    /// Rule: the test VM is heard in its own network alone, at the address of the test; production goes on and keeps
    /// its log.
    private func apart(_ site: RecoveryLab, _ guest: LabGuest) async throws {
        let job = try await site.perform(
            .testFailover, on: guest, ["network": "create", "host_address": "10.78.0.1/24", "keep": "true"])
        let test = try #require(try await site.relationship(guest).test)
        let network = try #require(test.networks?.first)
        #expect(job.facts["testAddress"] == Self.inTest)
        #expect(try site.run(at: .b, ["ls", "/sys/class/net"]).contains(network.bridge))

        var tested: String?
        try await until("the test VM answers in its own network", within: .seconds(90)) {
            tested = try curl(site, at: .b, Self.inTest, device: network.bridge)
            return tested != nil
        }
        let report = try JSONDecoder().decode(GuestReport.self, from: Data(try #require(tested).utf8))
        #expect(report.intact && report.bootRecords > 0)
        // Neither its own address nor that of production leads to it from any other network, at either site.
        for (place, device) in [(SiteName.a, "gold0"), (.b, "silver0"), (.b, "test0")] {
            for address in [Self.inTest, Self.away] {
                #expect(try curl(site, at: place, address, device: device) == nil)
            }
        }
        #expect(try curl(site, at: .b, Self.production, device: network.bridge) == nil)

        let before = try await site.answer(of: guest, at: .a)
        _ = try await site.perform(.sync, on: guest)
        let after = try await site.answer(of: guest, at: .a) { $0.records > before.records }
        #expect(after.bootID == before.bootID && after.intact && after.error.isEmpty)
        #expect(report.bootID != after.bootID)

        let cleaned = try await site.perform(.cleanUpTest, on: guest)
        #expect(cleaned.facts["passed"] == "true")
        #expect(try await site.relationship(guest).lastTest?.differences == [])
        try await expectNothingLeft(site, guest, test)
        #expect(try await site.lab.report(from: guest.address, at: .a, request: .verify, limit: 10).intact)
    }

    /// Rule: an engine that starts after a test's deadline cleans it up.
    private func deadline(_ site: RecoveryLab, _ guest: LabGuest) async throws {
        _ = try await site.perform(.testFailover, on: guest, ["network": "create", "within": "1", "keep": "true"])
        let test = try #require(try await site.relationship(guest).test)
        try await until("the test's time is over", within: .seconds(60)) {
            test.endsAt <= site.engine.dependencies.clock.now
        }
        let other = try RecoveryLab.makeEngine(site.vaultPath, holder: "another")
        #expect(try await other.recoverOpenJobs().map(\.job.operation) == [.cleanUpTest])
        #expect(try await site.relationship(guest).lastTest?.end == .deadline)
        try await expectNothingLeft(site, guest, test)
    }

    /// Rule: the test of a script whose process is killed lasts as long as the run may go on, and goes when the run is ended.
    private func engineKilled(_ site: RecoveryLab, _ guest: LabGuest) async throws {
        let process = try EngineProcess.run(
            """
            local relationship = recovery.vault():replicated("orders")
            relationship:test_failover { network = "create" }
            task.sleep("10min")
            """, site)
        defer { process.kill() }
        try await until("the script's test runs", within: .seconds(60)) {
            let now = try await site.relationship(guest)
            return now.activeJob == nil && now.test?.isUp == true
        }
        let test = try #require(try await site.relationship(guest).test)
        #expect(try await site.engine.dueTests().isEmpty, "its run is alive")
        process.kill()
        let other = try RecoveryLab.makeEngine(site.vaultPath, holder: "after the kill")
        try await until("the lease of the killed run has run out", within: .seconds(60)) {
            try await other.recoverOpenJobs()
            return try await !other.orphanedRuns().isEmpty
        }
        #expect(try await site.relationship(guest).test?.isUp == true, "the run may be resumed")
        let run = try #require(try await other.orphanedRuns().first)
        try await timed("clean-up after a killed run is given up") {
            _ = try await other.cancelRun(run.id, reason: nil)
        }
        #expect(try await site.relationship(guest).lastTest?.end == .runEnded)
        try await expectNothingLeft(site, guest, test)
    }

    /// Rule: after a real failover the guest itself answers at the address that was set for it.
    private func failedOver(_ site: RecoveryLab, _ guest: LabGuest) async throws {
        let job = try await site.perform(.plannedFailover, on: guest)
        #expect(job.facts["findings"]?.contains(Self.away) == true)
        var report: GuestReport?
        try await until("the guest answers at its second address", within: .seconds(90)) {
            report = try? await site.lab.report(from: Self.away, at: .b, limit: 2)
            return report.map { $0.records > $0.bootRecords } ?? false
        }
        #expect(report?.intact == true)
    }

    private func expectNothingLeft(_ site: RecoveryLab, _ guest: LabGuest, _ test: TestRecord) async throws {
        let hypervisor = try await site.engine.hosts.hypervisor(site.hostB.id)
        #expect(try await hypervisor.domain(uuid: test.vmUUID) == nil)
        let networks = try await hypervisor.networks()
        for network in test.networks ?? [] {
            #expect(!networks.contains(network.name))
            #expect(try !site.run(at: .b, ["ls", "/sys/class/net"]).contains(network.bridge))
        }
        let id = try await site.relationship(guest).id
        let files = try site.run(at: .b, ["find", site.hostB.store, "-name", "*test*", "-o", "-name", "\(id)-e0.iso"])
        #expect(files == "")
    }

    /// What answers at an address through one device of a site; nil when nothing does.
    private func curl(_ site: RecoveryLab, at place: SiteName, _ address: String, device: String) throws -> String? {
        let result = try Program.run(
            ["nsenter", "--net=\(site.lab.layout(of: place).networkHandle)", "curl", "--silent", "--fail"]
                + ["--max-time", "2", "--interface", device, "http://\(address)/"])
        return result.status == 0 ? result.output : nil
    }
}
