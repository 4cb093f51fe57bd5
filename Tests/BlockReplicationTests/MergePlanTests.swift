import Foundation
import Testing

@testable import BlockReplication

@Suite("The plan of merges keeps every chain short at a cost that does not grow")
struct MergePlanTests {
    /// Cycles of a VM as the plan sees them: each writes one byte that no other writes, which is the worst for merging.
    struct Cycles {
        var layers: [MergePlan.Layer] = []
        var instants: [String: Int] = [:]
        var extra: Int
        var pinned: String?
        /// Layers that are not the store's, beneath all.
        var beneath = 0
        var number = 0
        var (longest, merged, folded) = (0, 0.0, 0.0)

        init(extra: Int, external: Int = 0) {
            self.extra = extra
            beneath = external
        }

        /// The generations from one down to the base.
        func chain(_ generation: String?) -> [String] {
            var (result, at): ([String], String?) = ([], generation)
            while let name = at {
                result.append(name)
                at = layers.first { $0.generation == name }?.over
            }
            return result
        }

        mutating func cycle(_ second: Int) throws {
            let over = layers.last { $0.isPoint }?.generation
            let isBase = over == nil && beneath == 0
            number += 1
            layers.append(
                .init(
                    generation: "\(number)", over: over, bytes: isBase ? 10_000 : 1, isPoint: true, isOverlay: !isBase))
            instants["\(number)"] = second
            retire()
            try merge()
            for point in layers.filter(\.isPoint) {
                longest = max(longest, chain(point.generation).count + beneath)
            }
        }

        /// What the policy keeps: the newest and the first of each hour.
        private mutating func retire() {
            var first: [Int: String] = [:]
            let points = layers.filter(\.isPoint).dropLast()
            for point in points {
                let hour = (instants[point.generation] ?? 0) / 3600
                first[hour] = first[hour] ?? point.generation
            }
            let kept = Set(first.sorted { $0.key < $1.key }.suffix(extra).map(\.value))
            for index in layers.indices.dropLast()
            where !kept.contains(layers[index].generation) && layers[index].generation != pinned {
                layers[index].isPoint = false
            }
        }

        private mutating func merge() throws {
            let held = Set(chain(pinned))
            while true {
                let plan = MergePlan(layers, held: held, limit: MergePlan.longestChain - beneath)
                guard let step = plan.next() else { return }
                switch step {
                case .drop(let name):
                    try #require(!held.contains(name) && !layers.contains { $0.over == name })
                    layers.removeAll { $0.generation == name }
                case .fold(let name):
                    let index = try #require(layers.firstIndex { $0.generation == name })
                    let base = layers[0]
                    try #require(!base.isOverlay && !base.isPoint && held.isEmpty)
                    folded += Double(layers[index].bytes)
                    layers[index].bytes = 0
                    layers[index].isFolded = true
                    layers[index].over = base.generation
                case .merge(let older, let newer):
                    let below = try #require(layers.first { $0.generation == older })
                    let index = try #require(layers.firstIndex { $0.generation == newer })
                    try #require(!held.contains(newer) && layers[index].over == older && below.isOverlay)
                    try #require(!below.isPoint || held.contains(older))
                    layers[index].bytes += below.bytes
                    layers[index].over = below.over
                    layers[index].isFolded = false
                    merged += Double(layers[index].bytes)
                    if plan.goes(older) { layers.removeAll { $0.generation == older } }
                }
            }
        }
    }

    struct Case: Sendable, CustomTestStringConvertible {
        var name: String
        var extra = 24
        var period = 30
        var hours = 48
        /// Hours at which a test VM's point is pinned, and let go.
        var pin: Range<Double> = 0..<0
        var external = 0
        /// How often each byte may be written again, all in all.
        var most: Double
        var testDescription: String { name }
    }

    static let cases = [
        Case(name: "24 hourly points", most: 8.5),
        Case(name: "4 hourly points", extra: 4, most: 9),
        Case(name: "the newest point alone", extra: 0, most: 1.01),
        Case(name: "every 15 minutes", period: 900, most: 3.5),
        Case(name: "a test VM from the first minutes on", pin: 0.1..<99, most: 13),
        Case(name: "a test VM from the second day on", pin: 24.5..<99, most: 16),
        Case(name: "a test VM for ten hours", hours: 60, pin: 24.5..<34.5, most: 11),
        Case(name: "on an adopted disk", external: 1, most: 16),
        Case(name: "the newest point alone, on an adopted disk", extra: 0, external: 1, most: 14),
    ]

    @Test("two days of cycles", arguments: cases)
    func days(_ given: Case) throws {
        var cycles = Cycles(extra: given.extra, external: given.external)
        for second in stride(from: 0, to: given.hours * 3600, by: given.period) {
            try cycles.cycle(second)
            let hour = Double(second) / 3600
            if cycles.pinned == nil, given.pin.contains(hour) { cycles.pinned = "\(cycles.number)" }
            if cycles.pinned != nil, !given.pin.contains(hour) { cycles.pinned = nil }
        }
        let each = (cycles.merged + cycles.folded) / Double(cycles.number)
        print(
            "merging, \(given.name): \(cycles.number) cycles, longest chain \(cycles.longest), each byte written again "
                + String(format: "%.1f times (%.2f of them into the base)", each, cycles.folded / Double(cycles.number))
        )
        // A moment ago the newest was one more, and a VM's own image may stand on that.
        #expect(cycles.longest <= MergePlan.longestChain)
        #expect(each <= given.most)
    }

    @Test("what is held is left alone, and a chain that is too long forks above it")
    func fork() {
        func layer(_ number: Int, over: Int?, point: Bool = true) -> MergePlan.Layer {
            .init(
                generation: "\(number)", over: over.map(String.init), bytes: 10, isPoint: point, isOverlay: over != nil)
        }
        let layers = [
            layer(1, over: nil, point: false), layer(2, over: 1), layer(3, over: 2, point: false), layer(4, over: 3),
        ]
        let held: Set = ["1", "2", "3"]
        #expect(MergePlan(layers, held: held, limit: 4).next() == nil)
        #expect(MergePlan(layers, held: held, limit: 3).next() == .merge(older: "3", newer: "4"))
        #expect(!MergePlan(layers, held: held, limit: 3).goes("3"))
        #expect(MergePlan(layers, held: held.union(["4"]), limit: 3).next() == nil)
        // A kept point is never merged into another on account of length.
        let points = layers.map { layer(Int($0.generation) ?? 0, over: $0.over.flatMap { Int($0) }) }
        #expect(MergePlan(points, held: [], limit: 2).next() == nil)
        // The reader is gone: its side goes from the top, and then the base is free.
        var forked = layers
        forked[3].over = "2"
        #expect(MergePlan(forked, held: held, limit: 4).next() == nil)
        #expect(MergePlan(forked, held: [], limit: 4).next() == .drop("3"))
        forked.remove(at: 2)
        forked[1].isPoint = false
        #expect(MergePlan(forked, held: [], limit: 4).next() == .fold("2"))
        #expect(MergePlan(forked, held: [], limit: 4).next(canFold: false) == nil)
    }
}
