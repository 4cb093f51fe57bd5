/// One row: what is measured, beside what, and the goal.
struct Figure: Sendable {
    /// What the goal is about.
    enum Goal: Sendable {
        /// Ours divided by the peer's.
        case ratio(Double)
        /// Ours alone.
        case limit(Double)
        /// None: shown for information.
        case none
    }

    /// Where a change has made it slower, whatever the machine.
    ///
    /// The goal is what LuaHost promises, and may be missed on a machine that is busy or unlike others. The bound lies
    /// beyond what is usual by a quarter or so, so that only a change passes it.
    enum Bound: Sendable {
        /// Of ours divided by the peer's.
        case ratio(Double)
        /// Of ours alone. A time counts as it stands on a machine on which the peer takes
        /// the second figure; one on which the peer takes half as long again in the same run allows half as much again.
        case limit(Double, whenPeerTakes: Double? = nil)
    }

    let name: String
    let unit: String
    let goal: Goal
    /// Nil for rows that are for information.
    let bound: Bound?
    /// Measures once; in the unit.
    let ours: @Sendable () async throws -> Double
    let peerName: String
    let peer: (@Sendable () async throws -> Double)?
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
        case .none: nil
        }
    }

    /// The bound as a ratio where there is one, in the unit otherwise.
    private var bound: (value: Double, isRatio: Bool)? {
        switch figure.bound {
        case .ratio(let most): (most, true)
        case .limit(let most, let usual): (most * (usual.flatMap { usual in peer.map { $0 / usual } } ?? 1), false)
        case nil: nil
        }
    }

    /// Whether it is no worse than the bound against regressions.
    var holds: Bool { bound.map { ($0.isRatio ? ratio ?? ours : ours) <= $0.value } ?? true }

    var boundText: String { bound.map { "\(shown($0.value)) \($0.isRatio ? "x" : figure.unit)" } ?? "-" }

    var goalText: String {
        switch figure.goal {
        case .ratio(let most): "<= \(shown(most)) x"
        case .limit(let most): "<= \(shown(most)) \(figure.unit)"
        case .none: "-"
        }
    }

    var peerText: String {
        guard let peer else { return "-" }
        return "\(shown(peer)) \(figure.unit) (\(figure.peerName))"
    }

    /// `ok`, `MISS` for a goal that is missed, `WORSE` for a bound that is passed.
    var verdict: String { !holds ? "WORSE" : isMet == false ? "MISS" : "ok" }

    var cells: [String] {
        [
            figure.name, "\(shown(ours)) \(figure.unit)", peerText, ratio.map { "\(shown($0)) x" } ?? "-", goalText,
            boundText, verdict,
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
        if let bound {
            pairs.append("\"bound\": \(bound.value), \"bound_unit\": \"\(bound.isRatio ? "x" : figure.unit)\"")
        }
        pairs += ["\"ok\": \(isMet ?? true)", "\"holds\": \(holds)"]
        return "{" + pairs.joined(separator: ", ") + "}"
    }
}

/// Measures each figure and its peer in turn, `runs` times, so that a slow moment of the machine meets both.
///
/// What is measured once first counts for nothing: it warms caches and the processor up.
func measure(_ figures: [Figure], runs: Int) async throws -> [Row] {
    var rows: [Row] = []
    for figure in figures {
        if runs > 1 { _ = try await figure.ours() }
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
