import SiteModel
import Testing

@testable import RecoveryEngine

@Suite("The order of cycles")
struct CycleQueueTests {
    private static let start = Timestamp(milliseconds: 1_800_000_000_000)

    private func at(_ seconds: Double) -> Timestamp { Self.start.advanced(bySeconds: seconds) }

    private func entry(
        _ id: String, due: Double, source: String = "a1", target: String = "b1", frequency: Double = 30
    ) -> CycleQueue.Entry {
        CycleQueue.Entry(
            relationship: id, name: id,
            route: CycleRoute(source: source, target: target, sourceSite: "a", targetSite: "b"), operation: .sync,
            frequency: frequency, due: at(due))
    }

    private func take(_ queue: inout CycleQueue, at seconds: Double) -> [String] {
        queue.takeReady(now: at(seconds)).map(\.relationship)
    }

    @Test("The most overdue first, nothing before its time, nothing twice")
    func order() {
        var queue = CycleQueue(limits: CycleLimits())
        for (id, due) in [("c", 3.0), ("a", 1), ("b", 2), ("d", 9)] { queue.set(entry(id, due: due)) }
        #expect(take(&queue, at: 0.9) == [])
        #expect(take(&queue, at: 5) == ["a", "b", "c"])
        #expect(take(&queue, at: 5) == [])
        queue.set(entry("a", due: 4))
        #expect(take(&queue, at: 100) == ["d"], "a runs: its next work waits for its end")
        queue.finish("a", failed: false, now: at(100))
        #expect(take(&queue, at: 100) == ["a"])
    }

    @Test("No more at once than a source, a target and a link may have")
    func limits() {
        var queue = CycleQueue(limits: CycleLimits(perSource: 2, perTarget: 3, perLink: 4))
        for number in 1...4 { queue.set(entry("x\(number)", due: 1, source: "a1", target: "b1")) }
        for number in 1...4 { queue.set(entry("y\(number)", due: 2, source: "a2", target: "b1")) }
        for number in 1...4 { queue.set(entry("z\(number)", due: 3, source: "a3", target: "b2")) }
        #expect(take(&queue, at: 10) == ["x1", "x2", "y1", "z1"], "two of a1, three into b1, four on the link")
        #expect(queue.waitingCount == 8 && queue.runningCount == 4)
        queue.finish("x1", failed: false, now: at(11))
        queue.remove("x1")
        #expect(take(&queue, at: 11) == ["x3"])
        queue.finish("z1", failed: false, now: at(12))
        queue.remove("z1")
        #expect(take(&queue, at: 12) == ["z2"], "b1 is full: one behind those that wait for it goes first")
    }

    @Test("One that needs what others take by turns gets it after a copy frequency")
    func noStarvation() {
        var queue = CycleQueue(limits: CycleLimits(perSource: 1, perTarget: 1, perLink: 9))
        queue.set(entry("s", due: 0, source: "a2", target: "b1", frequency: 1000))
        queue.set(entry("t", due: 0, source: "a1", target: "b2", frequency: 1000))
        #expect(take(&queue, at: 0) == ["s", "t"])
        queue.set(entry("both", due: 1, source: "a1", target: "b1"))
        // Each time that one of the two it needs comes free, another is due that needs only that one.
        var began: Double?
        var now = 1.0
        while began == nil, now < 200 {
            for (id, source, target) in [("s", "a2", "b1"), ("t", "a1", "b2")] {
                queue.finish(id, failed: false, now: at(now))
                queue.set(entry(id, due: now, source: source, target: target, frequency: 1000))
                if take(&queue, at: now).contains("both") { began = now }
                now += 1
            }
        }
        #expect(began.map { $0 <= 40 } == true, "\(String(describing: began))")
    }

    @Test("Pauses after failures double up to a limit, outlive what is written, and end with a success")
    func pauses() {
        var queue = CycleQueue(limits: CycleLimits())
        var now = 0.0
        var pauses: [Double] = []
        for _ in 1...8 {
            queue.set(entry("a", due: 0))
            var tried = false
            var waited = 0.0
            while !tried {
                tried = take(&queue, at: now) == ["a"]
                if !tried { (now, waited) = (now + 1, waited + 1) }
            }
            pauses.append(waited)
            queue.finish("a", failed: true, now: at(now))
        }
        #expect(pauses[0] == 0)
        for (pause, expected) in zip(pauses.dropFirst(), [30.0, 60, 120, 240, 300, 300, 300]) {
            #expect(abs(pause - expected) <= expected * 0.1 + 1, "\(pauses)")
        }
        queue.set(entry("a", due: 100_000))
        #expect(take(&queue, at: 100_000) == ["a"], "a new point moves what is due: somebody has succeeded")
        queue.finish("a", failed: false, now: at(100_000))
        queue.set(entry("a", due: 100_010))
        #expect(take(&queue, at: 100_010) == ["a"])
    }

    @Test(
        "Slots are a frequency apart, at most 1.1 of it after a point, and spread by id", arguments: [30.0, 300, 900])
    func slots(frequency: Double) {
        var phases: [Int: Int] = [:]
        for number in 0..<1000 {
            let id = "00000000-0000-4000-8000-\(number)"
            let first = CycleTiming.slot(after: at(0), frequency: frequency, id: id)
            #expect((0.1 * frequency...1.1 * frequency).contains(first.seconds(since: at(0))))
            let second = CycleTiming.slot(after: first.advanced(bySeconds: 0.2), frequency: frequency, id: id)
            #expect(second.seconds(since: first) == frequency)
            phases[Int(first.seconds(since: at(0)) / frequency * 10), default: 0] += 1
        }
        for tenth in 1...9 { #expect((50...160).contains(phases[tenth] ?? 0), "\(phases)") }
    }
}
