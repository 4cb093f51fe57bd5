import Foundation
import LuaHost

/// A Lua value as the journal keeps it: JSON that gives back the very same value.
///
/// Text, booleans and nil are JSON's own; everything else says what it is: `{"i":1}`, `{"n":"0x1p-1"}`, `{"b":BASE64}`,
/// `{"a":[...],"k":[...],"v":[...]}`, `{"t":TYPE,"o":ID}`, `{"f":NUMBER,"h":NAME}`.
struct JournalValue: Codable, Sendable, Hashable {
    let value: LuaValue

    init(_ value: LuaValue) { self.value = value }

    private enum Key: String, CodingKey {
        case i, n, b, a, k, v, t, o, f, h
    }

    /// One line of JSON.
    var text: String {
        get throws {
            let encoder = JSONEncoder()
            encoder.outputFormatting = .sortedKeys
            return String(decoding: try encoder.encode(self), as: UTF8.self)
        }
    }

    func encode(to encoder: any Encoder) throws {
        switch value {
        case .nil:
            var single = encoder.singleValueContainer()
            try single.encodeNil()
        case .boolean(let flag):
            var single = encoder.singleValueContainer()
            try single.encode(flag)
        case .integer(let number):
            var fields = encoder.container(keyedBy: Key.self)
            try fields.encode(number, forKey: .i)
        case .number(let number):
            // By its bits: JSON has no infinity, and no two zeros.
            var fields = encoder.container(keyedBy: Key.self)
            try fields.encode(String(number.bitPattern, radix: 16), forKey: .n)
        case .string(let string):
            if let text = string.text {
                var single = encoder.singleValueContainer()
                try single.encode(text)
            } else {
                var fields = encoder.container(keyedBy: Key.self)
                try fields.encode(Data(string.bytes), forKey: .b)
            }
        case .table(let table):
            var fields = encoder.container(keyedBy: Key.self)
            try fields.encode(table.array.map(JournalValue.init), forKey: .a)
            guard !table.fields.isEmpty else { return }
            try fields.encode(table.fields.map { JournalValue($0.key) }, forKey: .k)
            try fields.encode(table.fields.map { JournalValue($0.value) }, forKey: .v)
        case .object(let object):
            var fields = encoder.container(keyedBy: Key.self)
            try fields.encode(object.type, forKey: .t)
            try fields.encode(object.id, forKey: .o)
        case .function(let function):
            var fields = encoder.container(keyedBy: Key.self)
            try fields.encode(function.id, forKey: .f)
            try fields.encodeIfPresent(function.hostName, forKey: .h)
        }
    }

    init(from decoder: any Decoder) throws {
        if let single = try? decoder.singleValueContainer() {
            if single.decodeNil() { self.init(.nil); return }
            if let text = try? single.decode(String.self) { self.init(LuaValue(text)); return }
            if let flag = try? single.decode(Bool.self) { self.init(.boolean(flag)); return }
        }
        let fields = try decoder.container(keyedBy: Key.self)
        if let number = try fields.decodeIfPresent(Int64.self, forKey: .i) {
            self.init(.integer(number))
        } else if let bits = try fields.decodeIfPresent(String.self, forKey: .n).flatMap({ UInt64($0, radix: 16) }) {
            self.init(.number(Double(bitPattern: bits)))
        } else if let data = try fields.decodeIfPresent(Data.self, forKey: .b) {
            self.init(.string(LuaString(bytes: Array(data))))
        } else if let type = try fields.decodeIfPresent(String.self, forKey: .t) {
            self.init(.object(LuaObject(type: type, id: try fields.decode(String.self, forKey: .o))))
        } else if let function = try fields.decodeIfPresent(UInt64.self, forKey: .f) {
            let name = try fields.decodeIfPresent(String.self, forKey: .h)
            self.init(.function(LuaFunction(id: function, hostName: name)))
        } else {
            let array = try fields.decode([JournalValue].self, forKey: .a).map(\.value)
            let keys = try fields.decodeIfPresent([JournalValue].self, forKey: .k) ?? []
            let values = try fields.decodeIfPresent([JournalValue].self, forKey: .v) ?? []
            self.init(
                .table(
                    LuaTable(
                        array: array,
                        fields: zip(keys, values).map { LuaTable.Field(key: $0.value, value: $1.value) })))
        }
    }
}

/// An error as the journal keeps it.
///
/// Without the traceback: that is made anew when the error is raised again.
struct JournalError: Codable, Sendable, Hashable {
    private var kind: String
    private var message: String
    private var hint: String?
    private var rule: String?
    private var object: JournalValue?
    private var chunk: String?
    private var line: Int?
    private var retryable: Bool?
    private var value: JournalValue?
    private var suppressed: [JournalError]?
    /// None or one.
    private var cause: [JournalError]?

    init(_ error: LuaError) {
        kind = error.kind.rawValue
        message = error.message
        hint = error.hint
        rule = error.rule
        object = error.object.map { JournalValue(.object($0)) }
        chunk = error.where?.chunk
        line = error.where?.line
        retryable = error.retryable ? true : nil
        value = error.value.map(JournalValue.init)
        suppressed = error.suppressed.isEmpty ? nil : error.suppressed.map(JournalError.init)
        cause = error.cause.map { [JournalError($0)] }
    }

    var error: LuaError {
        var error = LuaError(
            LuaError.Kind(rawValue: kind), message, hint: hint, rule: rule, object: object?.value.object,
            retryable: retryable ?? false, cause: cause?.first?.error)
        if let chunk, let line { error.where = SourcePosition(chunk: chunk, line: line) }
        error.value = value?.value
        error.suppressed = (suppressed ?? []).map(\.error)
        return error
    }
}
