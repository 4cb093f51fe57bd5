/// Everything that an inspection found, and what it comes to.
package struct InspectionReport: Codable, Hashable, Sendable {
    /// The worst that was found of one object.
    package struct ObjectVerdict: Codable, Hashable, Sendable {
        package var kind: CheckedKind
        package var object: String
        package var verdict: CheckVerdict
    }

    /// Whether no check fails.
    package var ready: Bool
    package var counts: [String: Int]
    package var objects: [ObjectVerdict]
    package var findings: [CheckFinding]

    package init(_ findings: [CheckFinding]) {
        self.findings = findings
        ready = !findings.contains { $0.verdict == .fail }
        counts = Dictionary(
            CheckVerdict.allCases.map { verdict in
                (verdict.rawValue, findings.filter { $0.verdict == verdict }.count)
            }, uniquingKeysWith: { $1 })
        objects = []
        for group in Self.grouped(findings) {
            let verdicts = group.findings.map(\.verdict)
            // An object of which nothing could be looked at is not ok.
            let worst: CheckVerdict =
                verdicts.contains(.fail)
                ? .fail : verdicts.contains(.warn) ? .warn : verdicts.contains(.ok) ? .ok : .skipped
            objects.append(ObjectVerdict(kind: group.kind, object: group.object, verdict: worst))
        }
    }

    package func count(_ verdict: CheckVerdict) -> Int { counts[verdict.rawValue] ?? 0 }

    /// Findings by object, in the order in which objects first appear.
    package static func grouped(
        _ findings: [CheckFinding]
    ) -> [(kind: CheckedKind, object: String, findings: [CheckFinding])] {
        var groups: [(kind: CheckedKind, object: String, findings: [CheckFinding])] = []
        var places: [String: Int] = [:]
        for finding in findings {
            let key = "\(finding.kind.rawValue) \(finding.object)"
            if let place = places[key] {
                groups[place].findings.append(finding)
            } else {
                places[key] = groups.count
                groups.append((finding.kind, finding.object, [finding]))
            }
        }
        return groups
    }
}
