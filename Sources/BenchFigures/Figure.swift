/// One row: what is measured, beside what, and the goal.
package struct Figure: Sendable {
    /// What the goal is about.
    package enum Goal: Sendable {
        /// Ours divided by the peer's.
        case ratio(Double)
        /// Ours alone.
        case limit(Double)
        /// Ours alone, and more is better.
        case least(Double)
        /// None: shown for information.
        case none
    }

    package let name: String
    package let unit: String
    package let goal: Goal
    /// Measures once; in the unit.
    package let ours: @Sendable () async throws -> Double
    package let peerName: String
    package let peer: (@Sendable () async throws -> Double)?

    package init(
        name: String, unit: String, goal: Goal, ours: @escaping @Sendable () async throws -> Double,
        peerName: String = "", peer: (@Sendable () async throws -> Double)? = nil
    ) {
        self.name = name
        self.unit = unit
        self.goal = goal
        self.ours = ours
        self.peerName = peerName
        self.peer = peer
    }
}

/// A figure with the medians of its runs.
struct Row {
    let figure: Figure
    let ours: Double
    let peer: Double?

    var ratio: Double? { peer.map { ours / $0 } }

    var isMet: Bool? {
        switch figure.goal {
        case .ratio(let most): ratio.map { $0 <= most }
        case .limit(let most): ours <= most
        case .least(let least): ours >= least
        case .none: nil
        }
    }

    var goalText: String {
        switch figure.goal {
        case .ratio(let most): "<= \(shown(most)) x"
        case .limit(let most): "<= \(shown(most)) \(figure.unit)"
        case .least(let least): ">= \(shown(least)) \(figure.unit)"
        case .none: "-"
        }
    }

    var peerText: String {
        guard let peer else { return "-" }
        return "\(shown(peer)) \(figure.unit) (\(figure.peerName))"
    }

    var cells: [String] {
        [
            figure.name, "\(shown(ours)) \(figure.unit)", peerText, ratio.map { "\(shown($0)) x" } ?? "-", goalText,
            isMet.map { $0 ? "ok" : "MISS" } ?? "-",
        ]
    }

    var json: String {
        var pairs = [
            "\"name\": \"\(figure.name)\"", "\"unit\": \"\(figure.unit)\"", "\"ours\": \(ours)",
            "\"goal\": \"\(goalText)\"",
        ]
        if let peer, let ratio {
            pairs += ["\"peer\": \(peer)", "\"peer_name\": \"\(figure.peerName)\"", "\"ratio\": \(ratio)"]
        }
        if let isMet { pairs.append("\"ok\": \(isMet)") }
        return "{" + pairs.joined(separator: ", ") + "}"
    }
}

/// Measures each figure and its peer in turn, `runs` times, so that a slow moment of the machine meets both.
func measure(_ figures: [Figure], runs: Int) async throws -> [Row] {
    var rows: [Row] = []
    for figure in figures {
        var ours: [Double] = []
        var peers: [Double] = []
        for _ in 0..<runs {
            ours.append(try await figure.ours())
            if let peer = figure.peer { peers.append(try await peer()) }
        }
        rows.append(Row(figure: figure, ours: median(ours), peer: peers.isEmpty ? nil : median(peers)))
    }
    return rows
}

private func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }

private func shown(_ value: Double) -> String {
    let digits = value >= 100 ? 0 : value >= 10 ? 1 : 2
    let scale = [1.0, 10.0, 100.0][digits]
    let rounded = (value * scale).rounded() / scale
    return digits == 0 ? "\(Int(rounded))" : "\(rounded)"
}
