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
        let (count, first, lanes) = Self.wanted
        print(
            "faults: \(count) rounds from seed \(first) on, \(lanes) at once: scripts/soak faults \(count) \(first) \(lanes)"
        )
        let totals = FaultTotals(next: first, count: count)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for lane in 0..<lanes {
                group.addTask {
                    // After a round that failed the sites are made anew: whatever it left must not be taken for the next one's fault.
                    while await totals.hasNext {
                        try await FaultSite.with(lane: lane) { site in
                            while let plan = await totals.take() {
                                guard await totals.play(plan, at: site) else { break }
                            }
                        }
                    }
                }
            }
            try await group.waitForAll()
        }
        await totals.print()
        #expect(await totals.failures == [], "each line says how to see it again")
    }

    /// How many rounds, the first seed, and lanes side by side: as `scripts/soak` says, or three that each commit chooses anew.
    private static var wanted: (Int, UInt64, Int) {
        let environment = ProcessInfo.processInfo.environment
        if let count = environment["PERILUNE_FAULT_ROUNDS"].flatMap(Int.init), count > 0 {
            let lanes = environment["PERILUNE_FAULT_LANES"].flatMap(Int.init) ?? 1
            return (count, environment["PERILUNE_FAULT_SEED"].flatMap(UInt64.init) ?? 1, max(1, min(lanes, count)))
        }
        let folder = URL(filePath: #filePath).deletingLastPathComponent().path
        let commit = try? Program.run(["git", "-C", folder, "rev-parse", "HEAD"])
        return (3, commit.flatMap { UInt64($0.output.prefix(8), radix: 16) } ?? 1, 1)
    }
}

/// What is left to play, and what all rounds come to.
actor FaultTotals {
    private var next: UInt64
    private let end: UInt64
    private(set) var failures: [String] = []
    private var rounds = 0
    private var points = 0
    private var bytes = 0
    private var lost = 0
    private var byFault: [String: Int] = [:]
    private var byPhase: [String: Int] = [:]
    private var damaged = 0
    private var refused = 0
    private let began = ContinuousClock.now

    init(next: UInt64, count: Int) { (self.next, end) = (next, next &+ UInt64(count)) }

    var hasNext: Bool { next != end }

    func take() -> FaultPlan? {
        guard hasNext else { return nil }
        defer { next &+= 1 }
        return FaultPlan(seed: next)
    }

    /// Plays one round and prints its line; false when it failed.
    func play(_ plan: FaultPlan, at site: FaultSite) async -> Bool {
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
        damaged += report.damaged
        refused += report.refused
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
        Swift.print(
            "faults: \(damaged) points damaged by flipped bits, each found; \(refused) failovers to such, each refused")
        for line in failures { Swift.print(line) }
        fflush(nil)
    }
}
