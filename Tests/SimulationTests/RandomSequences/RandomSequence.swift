import SiteModel
import Simulation
import VaultStore

/// One sequence: what was played, and what broke.
struct RandomSequence: Sendable {
    let seed: UInt64
    var moves: [Move] = []
    /// Nil when all went well.
    var broken: Broken?
    /// The calls to hosts, when they were asked for.
    var trace: [String] = []
    /// What the vault says of the time before the breach, newest last.
    var lastEvents: [String] = []
    /// How often each operation came to which end.
    var ends: [String: Int] = [:]

    /// Plays so many moves that the seed chooses, or those that are given.
    static func run(
        seed: UInt64, count: Int, moves given: [Move]? = nil, traced: Bool = false
    ) async throws -> RandomSequence {
        let site = try RandomSite(seed: seed)
        if traced { site.world.startTracing() }
        let play = Play(site)
        var sequence: RandomSequence
        do {
            sequence = try await site.world.run {
                await play.run(seed: seed, count: count, given: given)
            }
        } catch let error as SimulationError {
            // All that was under way waits for something that will not come.
            sequence = await play.played
            sequence.broken = Broken("the engine hangs: \(error)")
        }
        sequence.trace = site.world.trace
        return sequence
    }

    /// The same breach with as few moves as can be found: what a person reads.
    func shortened(most replays: Int = 300) async throws -> [Move] {
        guard let broken else { return moves }
        var (kept, left) = (moves, replays)
        var size = max(1, kept.count / 2)
        while size >= 1 {
            var start = 0
            while start < kept.count, left > 0 {
                var fewer = kept
                fewer.removeSubrange(start..<min(start + size, fewer.count))
                left -= 1
                let again = try await Self.run(seed: seed, count: fewer.count, moves: fewer)
                if let other = again.broken, other.isLike(broken) { kept = again.moves } else { start += size }
            }
            if size == 1 || left == 0 { break }
            size /= 2
        }
        return kept
    }

    /// What a failure prints.
    func report() async throws -> String {
        let few = try await shortened()
        let again = try await Self.run(seed: seed, count: few.count, moves: few)
        let list = few.enumerated().map { "  \($0 + 1). \($1)" }.joined(separator: "\n")
        return """
            seed \(seed): \(broken.map { "\($0)" } ?? "nothing is broken")
            The shortest prefix that shows it has \(moves.count) operations; of those \(few.count) are needed:
            \(list)
            and the vault says:
            \(again.lastEvents.map { "  \($0)" }.joined(separator: "\n"))
            Again: PERILUNE_SEED=\(seed) swift test --filter "RandomSequenceTests"
            """
    }
}

extension Broken {
    /// Whether it is the same breach: numbers and names apart.
    func isLike(_ other: Broken) -> Bool { words == other.words }

    private var words: [Substring] {
        description.split(separator: " ").filter { !$0.contains { $0.isNumber } }
    }
}

extension Play {
    func run(seed: UInt64, count: Int, given: [Move]?) async -> RandomSequence {
        played = RandomSequence(seed: seed)
        do {
            try await setUp()
            if let given {
                for move in given { try await step(move) }
            } else {
                var maker = MoveMaker(site)
                for _ in 0..<count { try await step(try await maker.next(self)) }
            }
            try await settle()
        } catch let error as Broken {
            played.broken = error
        } catch {
            played.broken = Broken("an error that nobody expects: \(error)")
        }
        let events = try? await vault.read { try $0.events(about: nil, limit: 25) }
        played.lastEvents = (events ?? []).map { "\($0.at.milliseconds) \($0.text)" }
        return played
    }

    private func step(_ move: Move) async throws {
        played.moves.append(move)
        try await play(move)
    }
}
