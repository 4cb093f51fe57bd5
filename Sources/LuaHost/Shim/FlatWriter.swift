internal import CLuaShim

/// Writes values in the flat form that the shim pushes in one go; see CLuaShim.h.
struct FlatWriter {
    private(set) var bytes: [UInt8] = []
    let types: [String: UInt32]
    let depthLimit: Int

    /// - Parameter bytes: whose memory is used again.
    init(types: [String: UInt32] = [:], depthLimit: Int = 64, reusing bytes: consuming [UInt8] = []) {
        self.bytes = bytes
        self.bytes.removeAll(keepingCapacity: true)
        self.types = types
        self.depthLimit = depthLimit
    }

    mutating func write(_ values: [LuaValue]) throws(LuaError) {
        for value in values { try write(value, depth: 0) }
    }

    private mutating func write(_ value: LuaValue, depth: Int) throws(LuaError) {
        switch value {
        case .nil: tag(CLUA_TAG_NIL)
        case .boolean(let flag): tag(flag ? CLUA_TAG_TRUE : CLUA_TAG_FALSE)
        case .integer(let integer):
            tag(CLUA_TAG_INTEGER)
            raw(integer)
        case .number(let number):
            tag(CLUA_TAG_NUMBER)
            raw(number)
        case .string(let string):
            tag(CLUA_TAG_STRING)
            text(string.bytes)
        case .table(let table): try write(table, depth: depth)
        case .function(let function):
            tag(CLUA_TAG_FUNCTION)
            raw(function.id)
        case .object(let object):
            guard let type = types[object.type] else {
                throw LuaError(
                    .host, "objects of type '\(object.type)' are not known to this Lua state",
                    hint: "register an ObjectType of that name in the configuration")
            }
            tag(CLUA_TAG_OBJECT)
            raw(type)
            text(Array(object.id.utf8))
        }
    }

    private mutating func write(_ table: LuaTable, depth: Int) throws(LuaError) {
        guard depth < depthLimit else { throw LuaError(.size, "a result is a table that is nested too deeply") }
        tag(CLUA_TAG_TABLE)
        raw(UInt32(table.array.count))
        raw(UInt32(table.fields.count))
        for value in table.array { try write(value, depth: depth + 1) }
        for field in table.fields {
            try write(field.key, depth: depth + 1)
            try write(field.value, depth: depth + 1)
        }
    }

    /// Writes an error object; what cannot be passed is left out.
    mutating func write(_ error: LuaError, depth: Int = 0) {
        tag(CLUA_TAG_ERROR)
        tag(CLUA_TAG_TABLE)
        raw(UInt32(0))
        let countAt = bytes.count
        var count: UInt32 = 0
        raw(count)
        func pair(_ name: String, _ value: String?, _ writer: inout FlatWriter) {
            guard let value else { return }
            writer.key(name)
            writer.tag(CLUA_TAG_STRING)
            writer.text(Array(value.utf8))
            count += 1
        }
        pair("kind", error.kind.rawValue, &self)
        pair("message", error.message, &self)
        pair("hint", error.hint, &self)
        pair("rule", error.rule, &self)
        if let position = error.where {
            pair("where", position.description, &self)
            pair("chunk", position.chunk, &self)
            key("line")
            tag(CLUA_TAG_INTEGER)
            raw(Int64(position.line))
            count += 1
        }
        key("retryable")
        tag(error.retryable ? CLUA_TAG_TRUE : CLUA_TAG_FALSE)
        count += 1
        if let object = error.object, let type = types[object.type] {
            key("object")
            tag(CLUA_TAG_OBJECT)
            raw(type)
            text(Array(object.id.utf8))
            count += 1
        }
        if let value = error.value {
            let mark = bytes.count
            key("value")
            if (try? write(value, depth: depth)) != nil { count += 1 } else { bytes.removeLast(bytes.count - mark) }
        }
        if let cause = error.cause, depth < 8 {
            key("cause")
            write(cause, depth: depth + 1)
            count += 1
        }
        withUnsafeBytes(of: count) { bytes.replaceSubrange(countAt..<countAt + 4, with: $0) }
    }

    private mutating func key(_ name: String) {
        tag(CLUA_TAG_STRING)
        text(Array(name.utf8))
    }

    private mutating func tag(_ tag: Int) { bytes.append(UInt8(tag)) }

    private mutating func raw<T: BitwiseCopyable>(_ value: T) {
        withUnsafeBytes(of: value) { bytes.append(contentsOf: $0) }
    }

    private mutating func text(_ text: [UInt8]) {
        raw(UInt32(text.count))
        bytes.append(contentsOf: text)
    }
}
