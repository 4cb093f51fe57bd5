/// What the shim says about an error that ended a task.
struct ErrorReport {
    let value: LuaValue
    let isErrorObject: Bool
    let text: String
    let traceback: String
    let position: SourcePosition?
    /// The fields of the errors that close handlers raised meanwhile; nil when the report has none of its own.
    let suppressed: [LuaTable]?

    init?(_ reader: inout FlatReader) {
        isErrorObject = reader.isAtError
        guard let value = reader.next(), let text = reader.next(), let traceback = reader.next(),
            let chunk = reader.next(), let line = reader.next()
        else { return nil }
        self.value = value
        self.text = text.lossyText
        self.traceback = traceback.lossyText
        position = chunk.text.flatMap { chunk in
            line.integer.map { SourcePosition(chunk: chunk, line: Int($0)) }
        }
        suppressed = reader.next()?.table?.array.compactMap(\.table)
    }

    /// - Parameter chunks: the names of the chunks that were loaded, which Lua puts before its messages.
    func error(kind: LuaError.Kind = .script, chunks: Set<String>) -> LuaError {
        var error: LuaError
        if let table = value.table, isErrorObject || table["message"].text != nil {
            error = LuaError(fields: table, fallback: kind)
            if !isErrorObject { error.value = value }
        } else {
            let (position, message) = split(text, chunks)
            error = LuaError(kind, message, where: position)
            switch value {
            case .string: break
            case .nil where text == "nil": error.message = "the script raised nil as an error"
            default: error.value = value
            }
        }
        error.where = error.where ?? position
        error.traceback = traceback.isEmpty ? nil : traceback
        if let suppressed { error.suppressed = suppressed.map { LuaError(fields: $0, fallback: .script) } }
        for index in error.suppressed.indices where error.suppressed[index].kind == .script {
            let (position, message) = split(error.suppressed[index].message, chunks)
            error.suppressed[index].message = message
            error.suppressed[index].where = position ?? error.suppressed[index].where
        }
        return error
    }

    /// Takes "chunk:line: " off a message: Lua puts it there, and the error has it as data.
    private func split(_ text: String, _ chunks: Set<String>) -> (SourcePosition?, String) {
        guard let colon = text.firstIndex(of: ":") else { return (nil, text) }
        let rest = text[text.index(after: colon)...]
        let digits = rest.prefix { $0.isASCII && $0.isNumber }
        guard let line = Int(digits), rest.dropFirst(digits.count).hasPrefix(": ") else { return (nil, text) }
        let label = String(text[..<colon])
        // Of a long name Lua shows the end, after three points.
        let isShortened = label.hasPrefix("...")
        let chunk = chunks.first { isShortened ? $0.hasSuffix(label.dropFirst(3)) : $0 == label }
        guard let chunk else { return (nil, text) }
        return (SourcePosition(chunk: chunk, line: line), String(rest.dropFirst(digits.count + 2)))
    }
}

extension LuaError {
    /// Makes an error of the fields of an error object, or of a script's own table that looks like one.
    init(fields: LuaTable, fallback: Kind) {
        let kind = fields["kind"].text.map(Kind.init(rawValue:)) ?? fallback
        var position: SourcePosition?
        if let chunk = fields["chunk"].text, let line = fields["line"].integer {
            position = SourcePosition(chunk: chunk, line: Int(line))
        }
        self.init(
            kind, fields["message"].text ?? "no message", hint: fields["hint"].text, rule: fields["rule"].text,
            object: fields["object"].object, where: position, retryable: fields["retryable"] == .boolean(true),
            cause: fields["cause"].table.map { LuaError(fields: $0, fallback: .script) })
        if case let value = fields["value"], value != .nil { self.value = value }
        suppressed =
            fields["suppressed"].table?.array.compactMap(\.table).map {
                LuaError(fields: $0, fallback: .script)
            } ?? []
    }

    /// The error as scripts see it: those that are not ``LuaError`` have kind `host`, a Swift cancellation `cancelled`.
    init(wrapping error: any Error) {
        switch error {
        case let error as LuaError: self = error
        case is CancellationError: self.init(.cancelled, "cancelled")
        default: self.init(.host, "\(error)")
        }
    }
}

extension LuaValue {
    var lossyText: String {
        if case .string(let string) = self { string.description } else { "" }
    }
}
