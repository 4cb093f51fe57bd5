/// Entrants that are measured in turn, and the rows that their figures make: one of ours may stand beside several peers.
package struct FigureContest: Sendable {
    /// Who is measured.
    package struct Entrant: Sendable {
        package let name: String
        /// Why it cannot be measured here; nil when it can.
        package let obstacle: String?
        /// Measures once: one value or several, each by its name.
        package let measure: @Sendable () async throws -> [String: Double]

        package init(
            _ name: String, obstacle: String? = nil, measure: @escaping @Sendable () async throws -> [String: Double]
        ) {
            self.name = name
            self.obstacle = obstacle
            self.measure = measure
        }
    }

    /// A value of an entrant's.
    package struct Value: Sendable {
        package let entrant: String
        package let key: String

        package init(_ entrant: String, _ key: String) {
            self.entrant = entrant
            self.key = key
        }
    }

    /// One row: a value of ours beside one of a peer's.
    package struct Row: Sendable {
        package let name: String
        package let unit: String
        package let ours: Value
        package let peer: Value?
        package let goal: Figure.Goal
        /// What is to be said of it in words: what is compared, where it loses and why.
        package let note: String?

        package init(
            _ name: String, _ unit: String, _ ours: Value, against peer: Value? = nil, goal: Figure.Goal = .none,
            note: String? = nil
        ) {
            self.name = name
            self.unit = unit
            self.ours = ours
            self.peer = peer
            self.goal = goal
            self.note = note
        }
    }

    package let rows: [Row]
    package let entrants: [Entrant]
    /// Makes what the entrants need, and takes it away.
    package let prepare: @Sendable () async throws -> Void
    package let finish: @Sendable () async -> Void

    package init(
        _ entrants: [Entrant], rows: [Row], prepare: @escaping @Sendable () async throws -> Void = {},
        finish: @escaping @Sendable () async -> Void = {}
    ) {
        self.entrants = entrants
        self.rows = rows
        self.prepare = prepare
        self.finish = finish
    }

    /// Measures all entrants in turn, `runs` times, so that a slow moment of the machine meets each.
    ///
    /// An entrant that fails drops out with what it said; the others go on.
    func measure(runs: Int, only: String?) async -> [FigureRow] {
        let wanted = rows.filter { only.map($0.name.contains) ?? true }
        guard !wanted.isEmpty else { return [] }
        let needed = Set(wanted.flatMap { [$0.ours.entrant] + ($0.peer.map { [$0.entrant] } ?? []) })
        var values: [String: [String: [Double]]] = [:]
        var obstacles: [String: String] = [:]
        for entrant in entrants { obstacles[entrant.name] = entrant.obstacle }
        func racing(_ entrant: Entrant) -> Bool { needed.contains(entrant.name) && obstacles[entrant.name] == nil }
        if entrants.contains(where: racing) {
            do { try await prepare() } catch {
                for entrant in entrants where obstacles[entrant.name] == nil { obstacles[entrant.name] = "\(error)" }
            }
            for _ in 0..<runs {
                for entrant in entrants where racing(entrant) {
                    do {
                        for (key, value) in try await entrant.measure() {
                            values[entrant.name, default: [:]][key, default: []].append(value)
                        }
                    } catch { obstacles[entrant.name] = "\(error)" }
                }
            }
            await finish()
        }
        func median(_ value: Value) -> Double? {
            guard obstacles[value.entrant] == nil else { return nil }
            return values[value.entrant]?[value.key].map(FigureRow.median)
        }
        return wanted.map { row in
            let reason = obstacles[row.ours.entrant] ?? row.peer.flatMap { obstacles[$0.entrant] }
            return FigureRow(
                name: row.name, unit: row.unit, goal: row.goal, bound: nil, peerName: row.peer?.entrant ?? "",
                note: row.note, obstacle: reason, ours: median(row.ours), peer: row.peer.flatMap(median))
        }
    }
}
