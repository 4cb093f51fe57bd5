import Foundation
import SiteModel

/// Plans as JSON text.
enum PlanJSON {
    /// - Throws: `EngineError` of kind `invalid` when the text is no JSON, or is larger than any plan.
    static func value(_ text: String) throws -> PlanValue {
        guard text.utf8.count <= PlanLimits.fileBytes else {
            throw EngineError(
                .invalid, "the plan's text is \(text.utf8.count) bytes long",
                hint: "a plan has at most \(PlanLimits.fileBytes) bytes")
        }
        do {
            return try JSONDecoder().decode(Node.self, from: Data(text.utf8)).value
        } catch {
            throw EngineError(
                .invalid, "the plan's text is not JSON",
                hint: "it is what plan:export() or perilune recovery-plan export writes", cause: error)
        }
    }

    private struct Node: Decodable {
        let value: PlanValue

        init(from decoder: any Decoder) throws {
            if let fields = try? decoder.container(keyedBy: Key.self) {
                var table: [String: PlanValue] = [:]
                for key in fields.allKeys { table[key.stringValue] = try fields.decode(Node.self, forKey: key).value }
                value = .table(table)
            } else if var list = try? decoder.unkeyedContainer() {
                var values: [PlanValue] = []
                while !list.isAtEnd { values.append(try list.decode(Node.self).value) }
                value = .list(values)
            } else {
                value = try Self.single(decoder.singleValueContainer())
            }
        }

        private static func single(_ container: any SingleValueDecodingContainer) throws -> PlanValue {
            if container.decodeNil() { return .null }
            if let value = try? container.decode(Bool.self) { return .boolean(value) }
            if let value = try? container.decode(Double.self) { return .number(value) }
            return .text(try container.decode(String.self))
        }
    }

    private struct Key: CodingKey {
        let stringValue: String
        var intValue: Int? { nil }
        init(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { return nil }
    }
}
