/// A small reader of the Prometheus text format, written from its description: what it cannot read is an error.
struct ParsedMetrics {
    struct Sample: Hashable {
        var name: String
        var labels: [String: String]
        var value: Double
    }

    struct Wrong: Error { var line: String }

    private(set) var help: [String: String] = [:]
    private(set) var types: [String: String] = [:]
    private(set) var samples: [Sample] = []

    init(_ text: String) throws {
        guard text.hasSuffix("\n") else { throw Wrong(line: "the last line has no end") }
        for line in text.dropLast().split(separator: "\n", omittingEmptySubsequences: false).map(String.init) {
            if line.hasPrefix("# HELP ") {
                let parts = line.dropFirst(7).split(separator: " ", maxSplits: 1).map(String.init)
                guard parts.count == 2, help[parts[0]] == nil else { throw Wrong(line: line) }
                help[parts[0]] = parts[1]
            } else if line.hasPrefix("# TYPE ") {
                let parts = line.dropFirst(7).split(separator: " ").map(String.init)
                guard parts.count == 2, ["counter", "gauge"].contains(parts[1]), types[parts[0]] == nil else {
                    throw Wrong(line: line)
                }
                types[parts[0]] = parts[1]
            } else {
                samples.append(try Self.sample(line))
            }
        }
        guard Set(samples.map { $0.name + "\($0.labels.sorted { $0.key < $1.key })" }).count == samples.count else {
            throw Wrong(line: "a figure stands twice")
        }
    }

    private static func sample(_ line: String) throws -> Sample {
        var rest = Substring(line)
        let name = rest.prefix { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_" || $0 == ":") }
        guard let first = name.first, !first.isNumber else { throw Wrong(line: line) }
        rest = rest.dropFirst(name.count)
        var labels: [String: String] = [:]
        if rest.first == "{" {
            rest = rest.dropFirst()
            while rest.first != "}" {
                let label = rest.prefix { $0 != "=" }
                rest = rest.dropFirst(label.count)
                guard rest.hasPrefix("=\""), !label.isEmpty, labels[String(label)] == nil else {
                    throw Wrong(line: line)
                }
                rest = rest.dropFirst(2)
                var value = ""
                while let next = rest.first, next != "\"" {
                    rest = rest.dropFirst()
                    guard next == "\\" else {
                        value.append(next)
                        continue
                    }
                    switch rest.popFirst() {
                    case "n": value.append("\n")
                    case "\\": value.append("\\")
                    case "\"": value.append("\"")
                    default: throw Wrong(line: line)
                    }
                }
                guard rest.popFirst() == "\"" else { throw Wrong(line: line) }
                labels[String(label)] = value
                if rest.first == "," { rest = rest.dropFirst() } else if rest.first != "}" { throw Wrong(line: line) }
            }
            rest = rest.dropFirst()
        }
        guard rest.popFirst() == " " else { throw Wrong(line: line) }
        let text = String(rest)
        let value = text == "+Inf" ? Double.infinity : text == "-Inf" ? -Double.infinity : Double(text)
        guard let value else { throw Wrong(line: line) }
        return Sample(name: String(name), labels: labels, value: value)
    }

    func value(_ name: String, _ labels: [String: String] = [:]) -> Double? {
        let found = samples.filter { sample in
            sample.name == name && labels.allSatisfy { sample.labels[$0.key] == $0.value }
        }
        return found.count == 1 ? found.first?.value : nil
    }
}
