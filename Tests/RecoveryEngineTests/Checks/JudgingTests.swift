import BlockReplication
import Foundation
import Hypervisors
import SiteModel
import Testing
import VaultStore

@testable import RecoveryEngine

@Suite("Judging facts")
struct JudgingTests {
    @Test("Nothing fails, warns or is skipped where nothing is wrong")
    func healthy() throws {
        let findings =
            HostChecks.all.flatMap { $0.findings(.healthy, object: "a") }
            + VMChecks.all.flatMap { check in
                (try? VMFacts.healthy()).map { check.findings($0, object: "orders") } ?? []
            }
            + PairChecks.all.flatMap { $0.findings(.healthy, object: "p") }
            + ServerChecks.all.flatMap { $0.findings(.healthy, object: "s") } + VaultChecks.judge(.healthy)
        let trouble = findings.filter { $0.verdict != .ok }
        #expect(trouble.isEmpty, "\(trouble)")
        #expect(InspectionReport(findings).ready)
        #expect(Set(findings.map(\.check)).count == CheckBook.all.count - EndpointChecks.all.count)
    }

    @Test("Every check has a row that fails or warns, so that none can only pass")
    func reachable() {
        func noticed<Facts>(_ rows: [JudgingCase<Facts>]) -> Set<String> {
            Set(rows.filter { $0.verdict == .fail || $0.verdict == .warn }.map(\.check))
        }
        let all = noticed(Self.hosts).union(noticed(Self.vms)).union(noticed(Self.pairs)).union(noticed(Self.servers))
            .union(noticed(Self.vaults)).union(EndpointJudgingTests.noticed)
        #expect(Set(CheckBook.all.map(\.id)).subtracting(all).isEmpty)
    }

    @Test(
        "Versions are compared number by number",
        arguments: [("7.2", "7.10", true), ("7.2.0", "7.2", false), ("10.0.0", "9.9.9", false), ("1", "1.0.1", true)])
    func versions(a: String, b: String, less: Bool) throws {
        let (left, right) = (try #require(ComponentVersion(a)), try #require(ComponentVersion(b)))
        #expect((left < right) == less)
        if a == "7.2.0" { #expect(left == right && left.hashValue == right.hashValue) }
        #expect(
            ComponentVersion("x1") == nil && ComponentVersion("") == nil
                && ComponentVersion("1..2")?.description == "1.2")
    }
}
