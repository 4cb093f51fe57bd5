/// Any JSON value: what a file written by hand may hold where something else was meant.
enum JSONNode: Decodable, Hashable, Sendable, CustomStringConvertible {
    case object([String: JSONNode])
    case list([JSONNode])
    case text(String)
    case number(Double)
    case truth(Bool)
    case null

    init(from decoder: any Decoder) throws {
        if let fields = try? decoder.container(keyedBy: Key.self) {
            var object: [String: JSONNode] = [:]
            for key in fields.allKeys { object[key.stringValue] = try fields.decode(JSONNode.self, forKey: key) }
            self = .object(object)
        } else if var elements = try? decoder.unkeyedContainer() {
            var list: [JSONNode] = []
            while !elements.isAtEnd { list.append(try elements.decode(JSONNode.self)) }
            self = .list(list)
        } else {
            self = try Self.single(decoder.singleValueContainer())
        }
    }

    /// The decoder keeps `true` and `1` apart, as the text does.
    private static func single(_ container: any SingleValueDecodingContainer) throws -> JSONNode {
        if container.decodeNil() { return .null }
        if let truth = try? container.decode(Bool.self) { return .truth(truth) }
        if let number = try? container.decode(Double.self) { return .number(number) }
        return .text(try container.decode(String.self))
    }

    /// As a message quotes it.
    var description: String {
        switch self {
        case .object: "an object"
        case .list: "a list"
        case .text(let text): "'\(text.prefix(60))'"
        case .number(let number): number == number.rounded() && abs(number) < 1e15 ? "\(Int64(number))" : "\(number)"
        case .truth(let truth): "\(truth)"
        case .null: "null"
        }
    }

    private struct Key: CodingKey {
        let stringValue: String
        var intValue: Int? { nil }
        init(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { return nil }
    }
}
