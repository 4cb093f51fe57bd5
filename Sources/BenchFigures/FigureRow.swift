/// A figure with the medians of its runs.
struct FigureRow {
    let name: String
    let unit: String
    let goal: Figure.Goal
    let bound: Figure.Bound?
    let peerName: String
    /// What is said of it in words below the table.
    var note: String?
    /// Why ours or the peer could not be measured.
    var obstacle: String?
    let ours: Double?
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
            rows.append(
                FigureRow(
                    name: figure.name, unit: figure.unit, goal: figure.goal, bound: figure.bound,
                    peerName: figure.peerName, ours: median(ours), peer: peers.isEmpty ? nil : median(peers)))
        }
        return rows
    }

    static func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }

    var ratio: Double? {
        guard let ours, let peer, peer > 0 else { return nil }
        return ours / peer
    }

    /// Whether the goal is met; nil where there is none, or nothing to hold against it.
    var isMet: Bool? {
        guard let ours else { return nil }
        switch goal {
        case .ratio(let most): return ratio.map { $0 <= most }
        case .ratioPlus(let most, let extra): return peer.map { ours <= $0 * most + extra }
        case .limit(let most): return ours <= most
        case .least(let least): return ours >= least
        case .none: return nil
        }
    }

    /// The bound as a ratio where there is one, in the unit otherwise.
    private var limit: (value: Double, isRatio: Bool)? {
        switch bound {
        case .ratio(let most): (most, true)
        case .limit(let most, let usual): (most * (usual.flatMap { usual in peer.map { $0 / usual } } ?? 1), false)
        case nil: nil
        }
    }

    /// Whether it is no worse than the bound against regressions.
    var holds: Bool {
        guard let limit, let ours else { return true }
        return (limit.isRatio ? ratio ?? ours : ours) <= limit.value
    }

    // MARK: Text

    static let header = ["name", "ours", "peer or limit", "ratio", "goal", "bound", ""]

    var cells: [String] {
        [
            name, ours.map { "\(Self.shown($0)) \(unit)" } ?? "-", peerText, ratioText, goalText, boundText, verdict,
        ]
    }

    /// What is said of a row whose bound is passed.
    var complaint: String {
        "worse than its bound: \(cells[0]), \(cells[1]), \(ratioText) against \(boundText)"
    }

    /// What stands below the table: what is compared and why it loses, and what was not measured.
    var remark: String? {
        let parts = [note, obstacle.map { "Not measured: \($0)." }].compactMap(\.self)
        return parts.isEmpty ? nil : "\(name): " + parts.joined(separator: " ")
    }

    var json: String {
        var pairs = [
            "\"name\": \(Self.quoted(name))", "\"unit\": \(Self.quoted(unit))", "\"goal\": \(Self.quoted(goalText))",
        ]
        if let ours { pairs.append("\"ours\": \(ours)") }
        if let peer {
            pairs += ["\"peer\": \(peer)", "\"peer_name\": \(Self.quoted(peerName))"]
            if let ratio { pairs.append("\"ratio\": \(ratio)") }
        }
        if let limit {
            pairs.append("\"bound\": \(limit.value), \"bound_unit\": \(Self.quoted(limit.isRatio ? "x" : unit))")
        }
        if let isMet { pairs.append("\"ok\": \(isMet)") }
        if let obstacle { pairs.append("\"not_measured\": \(Self.quoted(obstacle))") }
        pairs.append("\"holds\": \(holds)")
        return "{" + pairs.joined(separator: ", ") + "}"
    }

    private var ratioText: String { ratio.map { "\(Self.shown($0)) x" } ?? "-" }

    private var goalText: String {
        switch goal {
        case .ratio(let most): "<= \(Self.shown(most)) x"
        case .ratioPlus(let most, let extra): "<= \(Self.shown(most)) x + \(Self.shown(extra)) \(unit)"
        case .limit(let most): "<= \(Self.shown(most)) \(unit)"
        case .least(let least): ">= \(Self.shown(least)) \(unit)"
        case .none: "-"
        }
    }

    private var boundText: String { limit.map { "\(Self.shown($0.value)) \($0.isRatio ? "x" : unit)" } ?? "-" }

    private var peerText: String {
        guard let peer else { return peerName.isEmpty ? "-" : "no figure (\(peerName))" }
        return "\(Self.shown(peer)) \(unit) (\(peerName))"
    }

    /// `ok`, `MISS` for a goal that is missed, `WORSE` for a bound that is passed; nothing for information.
    private var verdict: String {
        if !holds { return "WORSE" }
        guard isMet != nil || (bound != nil && ours != nil) else { return "-" }
        return isMet == false ? "MISS" : "ok"
    }

    private static func shown(_ value: Double) -> String {
        let digits = value >= 100 ? 0 : value >= 10 ? 1 : 2
        let scale = [1.0, 10.0, 100.0][digits]
        let rounded = (value * scale).rounded() / scale
        return digits == 0 ? "\(Int(rounded))" : "\(rounded)"
    }

    private static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"", "\\": result += "\\\(scalar)"
            case _ where scalar.value < 0x20: result += " "
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}
