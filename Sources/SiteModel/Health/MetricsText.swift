/// One figure of a metric: a value and what it is of.
package struct MetricSample: Hashable, Sendable {
    /// In the order in which they are written.
    package var labels: [MetricLabel]
    package var value: Double

    package init(_ value: Double, _ labels: [(String, String)] = []) {
        self.value = value
        self.labels = labels.map { MetricLabel(name: $0.0, value: $0.1) }
    }
}

package struct MetricLabel: Hashable, Sendable {
    package var name: String
    package var value: String
}

/// A metric with all its figures.
package struct MetricFamily: Hashable, Sendable {
    package enum Kind: String, Sendable { case counter, gauge }

    /// In letters, digits and `_`; with its unit, and `_total` at the end of a counter's.
    package var name: String
    package var help: String
    package var kind: Kind
    package var samples: [MetricSample]

    package init(_ name: String, _ kind: Kind, _ help: String, _ samples: [MetricSample]) {
        self.name = name
        self.help = help
        self.kind = kind
        self.samples = samples
    }
}

/// The Prometheus text format, version 0.0.4.
package enum MetricsText {
    package static let contentType = "text/plain; version=0.0.4; charset=utf-8"

    /// Families without figures are left out.
    package static func render(_ families: [MetricFamily]) -> String {
        families.filter { !$0.samples.isEmpty }.map(render).joined()
    }

    private static func render(_ family: MetricFamily) -> String {
        var text = "# HELP \(family.name) \(escaped(family.help, quotes: false))\n"
        text += "# TYPE \(family.name) \(family.kind.rawValue)\n"
        for sample in family.samples {
            text += family.name
            if !sample.labels.isEmpty {
                text +=
                    "{"
                    + sample.labels.map { "\($0.name)=\"\(escaped($0.value, quotes: true))\"" }.joined(separator: ",")
                    + "}"
            }
            text += " \(number(sample.value))\n"
        }
        return text
    }

    /// Backslashes and line ends are escaped, in labels quotes as well; that is all that the format asks for.
    private static func escaped(_ text: String, quotes: Bool) -> String {
        var out = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\\": out += "\\\\"
            case "\n": out += "\\n"
            case "\"" where quotes: out += "\\\""
            default: out.unicodeScalars.append(scalar)
            }
        }
        return out
    }

    private static func number(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value > 0 ? "+Inf" : "-Inf" }
        // A whole number is written as such: the largest counters keep all their digits.
        if value == value.rounded(), abs(value) < 9e15 { return String(Int64(value)) }
        return "\(value)"
    }
}
