import Foundation
import Glibc
import Lab
import RecoveryEngine
import TestSupport
import Testing

/// Rounds of faults with real QEMU, from seeds: a few in every run of the tests, hundreds by `scripts/soak faults`.
@Suite("Rounds of faults, with real QEMU", .serialized, .enabled(if: mayMakeLabs, "the lab needs root"))
struct FaultSoakTests {
    @Test("After any fault every point equals what was written, byte by byte, and replication goes on")
    func rounds() async throws {
        let (count, first) = Self.wanted
        print("faults: \(count) rounds from seed \(first): scripts/soak faults \(count) \(first)")
        var totals = FaultTotals()
        var next = first
        let end = first &+ UInt64(count)
        // After a round that failed the sites are made anew: whatever it left must not be taken for the next one's fault.
        while next != end {
            try await FaultSite.with { site in
                while next != end {
                    let plan = FaultPlan(seed: next)
                    next &+= 1
                    let isWell = await totals.play(plan, at: site)
                    if !isWell { break }
                }
            }
        }
        totals.print()
        #expect(totals.failures == [], "each line says how to see it again")
    }

    /// How many rounds, and the first seed: as `scripts/soak` says, or three that each commit chooses anew.
    private static var wanted: (Int, UInt64) {
        let environment = ProcessInfo.processInfo.environment
        if let count = environment["PERILUNE_FAULT_ROUNDS"].flatMap(Int.init), count > 0 {
            return (count, environment["PERILUNE_FAULT_SEED"].flatMap(UInt64.init) ?? 1)
        }
        let folder = URL(filePath: #filePath).deletingLastPathComponent().path
        let commit = try? Program.run(["git", "-C", folder, "rev-parse", "HEAD"])
        return (3, commit.flatMap { UInt64($0.output.prefix(8), radix: 16) } ?? 1)
    }
}

/// What all rounds come to.
struct FaultTotals {
    private(set) var failures: [String] = []
    private var rounds = 0
    private var points = 0
    private var bytes = 0
    private var lost = 0
    private var byFault: [String: Int] = [:]
    private var byPhase: [String: Int] = [:]
    private let began = ContinuousClock.now

    /// Plays one round and prints its line; false when it failed.
    mutating func play(_ plan: FaultPlan, at site: FaultSite) async -> Bool {
        let start = ContinuousClock.now
        let round = FaultRound(site, plan)
        rounds += 1
        byPhase[plan.phase.rawValue, default: 0] += 1
        for fault in plan.faults { byFault[fault.rawValue, default: 0] += 1 }
        var failure: String?
        do { _ = try await round.play() } catch { failure = "\(error)" }
        let report = await round.report
        points += report.points
        bytes += report.bytes
        lost += report.lost
        let seconds = String(format: "%.1f s", (ContinuousClock.now - start) / .seconds(1))
        Swift.print(
            "round \(plan.seed): \(plan.phase.rawValue): \(plan.faultWords), \(String(format: "%.2f", plan.delay)) s into "
                + "\(plan.stage.rawValue), found \(report.instant); \(report.outcome); then \(report.way.joined(separator: ", ")); "
                + "\(report.points) points, \(report.bytes >> 20) MiB compared; \(seconds)")
        fflush(nil)
        guard let failure else { return true }
        let line = "FAILED: seed \(plan.seed): \(failure); again: scripts/soak faults 1 \(plan.seed)"
        Swift.print(line)
        for said in await round.evidence() { Swift.print("    \(said)") }
        fflush(nil)
        failures.append(line)
        return false
    }

    func print() {
        let seconds = (ContinuousClock.now - began) / .seconds(1)
        Swift.print("faults: \(rounds) rounds in \(Int(seconds)) s, \(failures.count) failed")
        for (name, count) in byPhase.sorted(by: { $0.key < $1.key }) {
            Swift.print("faults:   during \(name): \(count)")
        }
        for (name, count) in byFault.sorted(by: { $0.key < $1.key }) { Swift.print("faults:   \(name): \(count)") }
        Swift.print("faults: \(points) points compared, \(bytes >> 20) MiB; bytes lost: \(lost)")
        for line in failures { Swift.print(line) }
        fflush(nil)
    }
}
