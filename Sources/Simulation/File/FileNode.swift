import Foundation
import SiteModel

/// A JSON value.
enum FileValue: Decodable, Sendable, CustomStringConvertible {
    case null
    case flag(Bool)
    case number(Double)
    case text(String)
    case list([FileValue])
    case object([String: FileValue])

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if container.decodeNil() {
            self = .null
        } else if let flag = try? container.decode(Bool.self) {
            self = .flag(flag)
        } else if let number = try? container.decode(Double.self) {
            self = .number(number)
        } else if let text = try? container.decode(String.self) {
            self = .text(text)
        } else if let list = try? container.decode([FileValue].self) {
            self = .list(list)
        } else {
            self = .object(try container.decode([String: FileValue].self))
        }
    }

    /// The value as a refusal shows it.
    var description: String {
        switch self {
        case .null: "null"
        case .flag(let flag): "\(flag)"
        case .number(let number): FileFields.plain(number)
        case .text(let text): "\"\(text.prefix(80))\""
        case .list: "a list"
        case .object: "an object"
        }
    }
}

/// One value of a site's file, with the place that it was found at: every refusal names both.
struct FileNode {
    let value: FileValue
    let path: String

    init(value: FileValue, path: String) {
        self.value = value
        self.path = path
    }

    /// Reads JSON text of at most 64 MiB.
    init(json text: String) throws {
        guard text.utf8.count <= 64 << 20 else {
            throw SimulationError(
                .invalidSite, "the site's description is longer than 64 MiB",
                hint: "use \"count\" for VMs that are alike")
        }
        do {
            value = try JSONDecoder().decode(FileValue.self, from: Data(text.utf8))
        } catch DecodingError.dataCorrupted(let context) {
            let cause = (context.underlyingError as NSError?)?.userInfo["NSDebugDescription"] as? String
            throw SimulationError(
                .invalidSite, "the site's description is no JSON: \(cause ?? context.debugDescription)",
                hint: "look for a missing comma, quote or bracket")
        }
        path = ""
    }

    func refused(_ field: String?, given: any CustomStringConvertible, allowed: String) -> SimulationError {
        let place = [path, field ?? ""].filter { !$0.isEmpty }.joined(separator: ".")
        return SimulationError(
            .invalidSite, "\(place.isEmpty ? "the site's description" : place) is \(given)",
            hint: "allowed: \(allowed)")
    }

    /// The fields of an object; unknown ones are refused.
    func fields(_ known: [String]) throws -> FileFields {
        guard case .object(let object) = value else { throw refused(nil, given: value, allowed: "an object") }
        for key in object.keys.sorted() where !known.contains(key) {
            let nearest = Nearest.suggestion(for: key, among: known)
            throw SimulationError(
                .invalidSite, "\(path.isEmpty ? "the site's description" : path) has an unknown field \"\(key)\"",
                hint: nearest.map { "did you mean \"\($0)\"?" } ?? "it may have: \(known.joined(separator: ", "))")
        }
        return FileFields(node: self, object: object)
    }
}

/// The fields of one object of the file.
struct FileFields {
    let node: FileNode
    let object: [String: FileValue]

    func has(_ field: String) -> Bool { object[field] != nil }

    private func get<Value>(_ field: String, _ allowed: String, _ read: (FileValue) -> Value?) throws -> Value? {
        guard let given = object[field] else { return nil }
        guard let value = read(given) else { throw node.refused(field, given: given, allowed: allowed) }
        return value
    }

    /// What was given for a field, to be shown.
    func given(_ field: String) -> String { object[field].map { "\($0)" } ?? "missing" }

    func text(_ field: String) throws -> String? {
        try get(field, "text of 1 to 255 bytes") { given in
            if case .text(let text) = given, (1...255).contains(text.utf8.count) { text } else { nil }
        }
    }

    func longText(_ field: String) throws -> String? {
        try get(field, "text") { given in if case .text(let text) = given { text } else { nil } }
    }

    func name(_ field: String) throws -> String {
        guard let name = try text(field) else { throw node.refused(field, given: "missing", allowed: "a name") }
        let isPlain = name.unicodeScalars.allSatisfy {
            $0.properties.isAlphabetic || "0123456789-_. ".unicodeScalars.contains($0)
        }
        guard isPlain else {
            throw node.refused(field, given: given(field), allowed: "letters, digits, - _ . and blanks")
        }
        return name
    }

    func flag(_ field: String) throws -> Bool? {
        try get(field, "true or false") { given in if case .flag(let flag) = given { flag } else { nil } }
    }

    func number(_ field: String, _ range: ClosedRange<Double>) throws -> Double? {
        try get(field, "a number from \(Self.plain(range.lowerBound)) to \(Self.plain(range.upperBound))") { given in
            if case .number(let number) = given, range.contains(number) { number } else { nil }
        }
    }

    func count(_ field: String, _ range: ClosedRange<Int>) throws -> Int? {
        try get(field, "a whole number from \(range.lowerBound) to \(range.upperBound)") { given in
            guard case .number(let number) = given, let whole = Int(exactly: number), range.contains(whole) else {
                return nil
            }
            return whole
        }
    }

    func choice<Choice: RawRepresentable & CaseIterable>(_ field: String, _: Choice.Type) throws -> Choice?
    where Choice.RawValue == String {
        let allowed = Choice.allCases.map { "\"\($0.rawValue)\"" }.joined(separator: ", ")
        return try get(field, allowed) { given in
            if case .text(let text) = given { Choice(rawValue: text) } else { nil }
        }
    }

    /// Bytes: a number, or text such as "40GiB".
    func size(_ field: String) throws -> UInt64? {
        try get(field, "a size such as \"40GiB\" or a number of bytes, up to 1024TiB") { given in
            FileUnits.read(given, FileUnits.sizes, most: Double(1 << 50)).map { UInt64($0) }
        }
    }

    /// Seconds: a number, or text such as "30s" or "5min".
    func duration(_ field: String) throws -> Double? {
        try get(field, "a time such as \"200ms\", \"30s\", \"5min\" or a number of seconds, up to a year") { given in
            FileUnits.read(given, FileUnits.times, most: 366 * 86_400)
        }
    }

    func list(_ field: String) throws -> [FileNode] {
        let items: [FileValue] =
            try get(field, "a list") { given in if case .list(let items) = given { items } else { nil } } ?? []
        let prefix = node.path.isEmpty ? "" : node.path + "."
        return items.indices.map { FileNode(value: items[$0], path: "\(prefix)\(field)[\($0 + 1)]") }
    }

    func names(_ field: String) throws -> [String]? {
        try get(field, "a list of names") { given in
            guard case .list(let items) = given else { return nil }
            let names = items.compactMap { item in if case .text(let name) = item, !name.isEmpty { name } else { nil } }
            return names.count == items.count ? names : nil
        }
    }

    func child(_ field: String) -> FileNode? {
        object[field].map { FileNode(value: $0, path: (node.path.isEmpty ? "" : node.path + ".") + field) }
    }

    static func plain(_ number: Double) -> String {
        number == number.rounded() && abs(number) < 1e15 ? "\(Int(number))" : "\(number)"
    }
}

/// Numbers with units.
enum FileUnits {
    static let sizes: [(String, Double)] = [
        ("KiB", 1024), ("MiB", 1_048_576), ("GiB", 1_073_741_824), ("TiB", 1_099_511_627_776), ("KB", 1e3), ("MB", 1e6),
        ("GB", 1e9), ("TB", 1e12), ("B", 1),
    ]
    static let times: [(String, Double)] = [("ms", 0.001), ("min", 60), ("s", 1), ("h", 3600), ("d", 86_400)]

    static func read(_ given: FileValue, _ units: [(String, Double)], most: Double) -> Double? {
        let value: Double?
        switch given {
        case .number(let number): value = number
        case .text(let text):
            let unit = units.first { text.hasSuffix($0.0) }
            value = unit.flatMap { unit in
                Double(text.dropLast(unit.0.count).trimmingCharacters(in: .whitespaces)).map { $0 * unit.1 }
            }
        default: value = nil
        }
        return value.flatMap { $0 >= 0 && $0 <= most ? $0 : nil }
    }
}
