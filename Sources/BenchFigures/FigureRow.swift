/// A figure with the medians of its runs.
struct FigureRow {
    let figure: Figure
    let ours: Double
    let peer: Double?

    /// Measures each figure and its peer in turn, `runs` times, so that a slow moment of the machine meets both.
    ///
    /// With `warmsUp`, what is measured once first counts for nothing: it warms caches and the processor up.
    static func measure(_ figures: [Figure], runs: Int, warmsUp: Bool) async throws -> [FigureRow] {
        var rows: [FigureRow] = []
        for figure in figures {
            if warmsUp, runs > 1 { _ = try await figure.ours() }
            var ours: [Double] = []
            var peers: [Double] = []
            for _ in 0..<runs {
                ours.append(try await figure.ours())
                if let peer = figure.peer { peers.append(try await peer()) }
            }
            rows.append(FigureRow(figure: figure, ours: median(ours), peer: peers.isEmpty ? nil : median(peers)))
        }
        return rows
    }

    private static func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }

    var ratio: Double? { peer.map { ours / $0 } }

    /// Whether the goal is met; nil where there is none.
    var isMet: Bool? {
        switch figure.goal {
        case .ratio(let most): ratio.map { $0 <= most }
        case .limit(let most): ours <= most
        case .least(let least): ours >= least
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

    // MARK: Text

    static let header = ["name", "ours", "peer or limit", "ratio", "goal", "bound", ""]

    var cells: [String] {
        [
            figure.name, "\(Self.shown(ours)) \(figure.unit)", peerText, ratioText, goalText, boundText, verdict,
        ]
    }

    /// What is said of a row whose bound is passed.
    var complaint: String {
        "worse than its bound: \(figure.name), \(Self.shown(ours)) \(figure.unit), \(ratioText) against \(boundText)"
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
        if let isMet { pairs.append("\"ok\": \(isMet)") }
        pairs.append("\"holds\": \(holds)")
        return "{" + pairs.joined(separator: ", ") + "}"
    }

    private var ratioText: String { ratio.map { "\(Self.shown($0)) x" } ?? "-" }

    private var goalText: String {
        switch figure.goal {
        case .ratio(let most): "<= \(Self.shown(most)) x"
        case .limit(let most): "<= \(Self.shown(most)) \(figure.unit)"
        case .least(let least): ">= \(Self.shown(least)) \(figure.unit)"
        case .none: "-"
        }
    }

    private var boundText: String { bound.map { "\(Self.shown($0.value)) \($0.isRatio ? "x" : figure.unit)" } ?? "-" }

    private var peerText: String {
        guard let peer else { return "-" }
        return "\(Self.shown(peer)) \(figure.unit) (\(figure.peerName))"
    }

    /// `ok`, `MISS` for a goal that is missed, `WORSE` for a bound that is passed; nothing for information.
    private var verdict: String {
        if !holds { return "WORSE" }
        guard isMet != nil || figure.bound != nil else { return "-" }
        return isMet == false ? "MISS" : "ok"
    }

    private static func shown(_ value: Double) -> String {
        let digits = value >= 100 ? 0 : value >= 10 ? 1 : 2
        let scale = [1.0, 10.0, 100.0][digits]
        let rounded = (value * scale).rounded() / scale
        return digits == 0 ? "\(Int(rounded))" : "\(rounded)"
    }
}
