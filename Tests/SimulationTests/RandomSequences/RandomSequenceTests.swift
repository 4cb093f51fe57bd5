import Foundation
import Testing

/// Random sequences of operations on random sites, with what goes wrong at sites and with engines that die.
///
/// `PERILUNE_SOAK_SEEDS` plays more of them (scripts/soak does), `PERILUNE_FIRST_SEED` others, `PERILUNE_SEED` a single one.
@Suite("Random sequences of operations")
struct RandomSequenceTests {
    private static let length = 200
    private static let batches = 4

    private static func number(_ name: String) -> UInt64? {
        ProcessInfo.processInfo.environment[name].flatMap { UInt64($0) }
    }

    private static let seeds: [UInt64] = {
        if let one = number("PERILUNE_SEED") { return [one] }
        let first = number("PERILUNE_FIRST_SEED") ?? 1
        return Array(first..<(first + (number("PERILUNE_SOAK_SEEDS") ?? 200)))
    }()

    @Test("After every one of 200 operations all invariants hold, and there is a way back", arguments: 0..<batches)
    func invariants(batch: Int) async throws {
        var (failures, ends) = (0, [String: Int]())
        for seed in Self.seeds where Int(seed) % Self.batches == batch {
            let sequence = try await RandomSequence.run(seed: seed, count: Self.length)
            ends.merge(sequence.ends, uniquingKeysWith: +)
            guard sequence.broken != nil else { continue }
            Issue.record("\(try await sequence.report())")
            failures += 1
            // Enough to look at.
            if failures == 3 { return }
        }
        guard Self.number("PERILUNE_SOAK_SEEDS") != nil else { return }
        print(ends.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" }.joined(separator: ", "))
    }

    @Test("The same seed plays the same moves, calls and events", arguments: [1, 2, 3])
    func sameSeed(seed: UInt64) async throws {
        let first = try await RandomSequence.run(seed: seed, count: 60, traced: true)
        let second = try await RandomSequence.run(seed: seed, count: 60, traced: true)
        #expect(first.moves == second.moves)
        #expect(first.trace == second.trace)
        #expect(first.trace.count > 100)
        #expect(
            try await RandomSequence.run(seed: seed, count: 60, moves: first.moves, traced: true).trace == first.trace)
    }
}
