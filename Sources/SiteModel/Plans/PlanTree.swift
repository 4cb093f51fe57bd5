extension RecoveryPlan {
    /// The plan as a tree for people to read: what is done, in the order of a run.
    package func tree(source: String, target: String) -> String {
        var lines = ["\(name): \(source) -> \(target), \(vms.count) VM\(vms.count == 1 ? "" : "s")"]
        if !dependsOn.isEmpty { lines[0] += ", after \(dependsOn.joined(separator: ", "))" }
        let ordered = GroupKind.allCases.flatMap { kind in groups.filter { $0.kind == kind } }
        for (index, group) in ordered.enumerated() {
            let last = index == ordered.count - 1
            lines.append((last ? "└─ " : "├─ ") + Self.heading(group))
            let rows = Self.rows(of: group)
            for (place, row) in rows.enumerated() {
                lines.append((last ? "   " : "│  ") + (place == rows.count - 1 ? "└─ " : "├─ ") + row)
            }
        }
        return lines.joined(separator: "\n")
    }

    private static func heading(_ group: PlanGroup) -> String {
        var text =
            group.kind == .boot || group.name == group.kind.rawValue
            ? group.name : "\(group.name) (\(group.kind.rawValue))"
        if let needed = group.dependsOn {
            text += needed.isEmpty ? " (waits for nothing)" : " (after \(needed.joined(separator: ", ")))"
        }
        return text
    }

    private static func rows(of group: PlanGroup) -> [String] {
        group.before.map { "before: \(row($0))" } + group.vms + group.after.map { "after: \(row($0))" }
    }

    private static func row(_ action: PlanAction) -> String {
        var text = action.name == action.work.word ? "" : "\(action.name): "
        text += action.work.summary
        var notes: [String] = []
        if action.operations != PlanAction.defaultOperations {
            notes.append("on \(action.operations.map(\.rawValue).joined(separator: ", "))")
        }
        if action.directions != PlanDirection.allCases {
            notes.append(action.directions.map(\.rawValue).joined(separator: ", "))
        }
        if action.timeout != action.work.defaultTimeout { notes.append("within \(PlanValue.shown(action.timeout)) s") }
        if action.retries > 0 { notes.append("\(action.retries) more tries") }
        if !action.isCritical { notes.append("not critical") }
        return notes.isEmpty ? text : "\(text) (\(notes.joined(separator: "; ")))"
    }
}
