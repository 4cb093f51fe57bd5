import Foundation
import SiteModel
import Synchronization
import Testing

@testable import BlockReplication

@Suite("How fast an agent sends")
struct SendingPaceTests {
    private static let mebibyte = 1 << 20

    /// Seconds that pieces of these sizes take, one after the other, with a clock that only waiting moves.
    private func seconds(for pieces: [Int], rate: (Double) -> UInt64?) -> Double {
        var bucket = TokenBucket()
        var now = 100.0
        for piece in pieces {
            while let wait = bucket.take(piece, rate: rate(now - 100), at: now) { now += min(wait, 0.25) }
        }
        return now - 100
    }

    @Test("bytes over time come to the rate, whatever the pieces", arguments: [4 << 10, 65_536, 1 << 20, 3_000_001])
    func rate(piece: Int) {
        let count = 100 * Self.mebibyte / piece
        let taken = seconds(for: [Int](repeating: piece, count: count)) { _ in UInt64(10 * Self.mebibyte) }
        // The first piece and a quarter of a second's worth are free.
        let expected = Double((count - 1) * piece) / Double(10 * Self.mebibyte)
        #expect(taken <= expected + 0.01 && taken >= expected - 0.6, "\(taken) s, not \(expected)")
    }

    @Test("a quiet hour is not made up for")
    func quiet() {
        var bucket = TokenBucket()
        _ = bucket.take(1, rate: 1 << 20, at: 0)
        var left = 0
        while bucket.take(4096, rate: 1 << 20, at: 3600) == nil { left += 4096 }
        #expect(left <= (1 << 18) + 4096)
    }

    @Test("a rate that changes on the way holds from then on; without one nothing waits and nothing is owed")
    func changes() {
        let pieces = [Int](repeating: Self.mebibyte, count: 60)
        // 10 s at 1 MiB/s, then 10 MiB/s.
        let faster = seconds(for: pieces) { UInt64(($0 < 10 ? 1 : 10) * Self.mebibyte) }
        #expect(abs(faster - 15) < 0.6, "\(faster)")
        let freed = seconds(for: pieces) { $0 < 10 ? UInt64(Self.mebibyte) : nil }
        #expect(abs(freed - 10) < 0.6, "\(freed)")
    }

    @Test("a wait ends with the interrupt, and lets the next one through")
    func interrupted() async throws {
        let clock = Mutex(0.0)
        // A clock that stands still: whoever waits, waits until somebody says otherwise.
        let pace = SendingPace(
            try RateSchedule([RateRule("1MiB")]), seconds: { clock.withLock { $0 } }, rate: { _ in 1 << 20 })
        _ = try pace.take(8 << 20, try Interrupt())
        let interrupt = try Interrupt()
        let waiting = Task { try await onThread("pace-test") { try pace.take(1, interrupt) } }
        interrupt.trigger(ReplicationError.givenUp)
        await #expect(throws: ReplicationError.self) { try await waiting.value }
        clock.withLock { $0 = 100 }
        #expect(try pace.take(1, try Interrupt()) == 0)
    }

    @Test("all disks and transfers of an agent share its rate, and what arrives is whole")
    func shared() async throws {
        var limits = AgentLimits()
        limits.sending = RateSchedule([try RateRule("4MiB")])
        limits.packing = .never
        try await TwoSites.with(limits: limits) { sites in
            var disks: [SourceDisk] = []
            var images: [(String, DiskImage)] = []
            for index in 0..<4 {
                let image = try await sites.makeImage("d\(index)", mebibytes: 6, seed: UInt64(index))
                images.append(("vd\(index)", image))
                disks.append(.stopped(image, mebibytes: 6, .everything, target: "vd\(index)"))
            }
            let moved = try await sites.cycle(TwoSites.generation(1), after: nil, disks).moved
            #expect(moved.bytes >= 8 << 20)
            // Each disk's first piece may go at once, at most.
            #expect(moved.seconds >= Double(moved.bytes - (5 << 20)) / Double(4 << 20))
            for (target, image) in images {
                #expect(try await sites.atB(TwoSites.generation(1), target, equals: image))
            }
        }
    }
}
