/// Says what the expressions of a half-typed piece of Lua are, from the declarations alone: nothing is run.
struct ShapeInference {
    typealias Token = LuaTokens.Token

    let tokens: [Token]
    let scope: CompletionScope

    // MARK: Expressions

    /// Where the expression begins whose last token is at `end`: a name or text, and what is called and indexed after it.
    func start(ofExpressionEndingAt end: Int) -> Int? {
        var index = end
        while index >= 0 {
            let token = tokens[index]
            switch token.kind {
            case .number: return nil
            case .text:
                guard endsExpression(index - 1) else { return index }
                index -= 1
            case .name:
                if Self.keywords.contains(token.text) { return nil }
                guard index >= 2, isSymbol(index - 1, ".", ":") else { return index }
                index -= 2
            case .symbol:
                guard let opening = opening(of: index) else { return nil }
                guard endsExpression(opening - 1) else { return opening }
                index = opening - 1
            }
        }
        return nil
    }

    /// The shape of the expression whose last token is at `end`.
    func shape(endingAt end: Int) -> Shape {
        guard let start = start(ofExpressionEndingAt: end) else { return .other }
        return shape(from: start, through: end)
    }

    /// The shape of an expression from its first token, as far as it goes and at most through `last`.
    func shape(from start: Int, through last: Int) -> Shape {
        guard start <= last else { return .other }
        var shape = Shape.other
        var index = start + 1
        if tokens[start].kind == .name {
            shape = self.shape(ofName: tokens[start].text, before: start)
        } else if isSymbol(start, "("), let closing = closing(of: start, through: last) {
            shape = self.shape(from: start + 1, through: closing - 1)
            index = closing + 1
        }
        while index <= last {
            if isSymbol(index, ".", ":"), index + 1 <= last, tokens[index + 1].kind == .name {
                shape = shape.member(tokens[index + 1].text)
                index += 2
            } else if tokens[index].kind == .text {
                shape = shape.result
                index += 1
            } else if isSymbol(index, "(", "{", "["), let closing = closing(of: index, through: last) {
                shape = isSymbol(index, "[") ? shape.element : shape.result
                index = closing + 1
            } else {
                break
            }
        }
        return shape
    }

    // MARK: Names

    /// The shape of a variable: as the piece itself binds it before, else as the session knows it.
    private func shape(ofName name: String, before index: Int) -> Shape {
        var place = index - 1
        while place >= 0 {
            defer { place -= 1 }
            let isMember = place > 0 && isSymbol(place - 1, ".", ":")
            guard tokens[place].kind == .name, tokens[place].text == name, !isMember else { continue }
            if let found = binding(at: place, before: index) { return found }
        }
        if LuaAPI.modules.contains(where: { $0.name == name }) { return .module(name) }
        if let known = scope.globals[name], known != .function(nil) { return known }
        return LuaAPI.globals.contains { $0.name == name } ? .function(name) : scope.globals[name] ?? .other
    }

    /// What a name is bound to where it stands at `place`, if that binds it.
    private func binding(at place: Int, before index: Int) -> Shape? {
        var next = place + 1
        if isSymbol(next, "<"), isSymbol(next + 2, ">") { next += 3 }
        if isSymbol(next, "="), next + 1 < index, enclosing(place)?.symbol != "{" {
            return shape(from: next + 1, through: index - 1)
        }
        if next < tokens.count, tokens[next].text == "in", next + 1 < index {
            return elementInLoop(from: next + 1, through: index - 1)
        }
        return parameterOfMap(at: place)
    }

    /// The element in `for _, name in ipairs(list) do`.
    private func elementInLoop(from start: Int, through last: Int) -> Shape? {
        guard tokens[start].text == "ipairs", isSymbol(start + 1, "("),
            let closing = closing(of: start + 1, through: last)
        else { return nil }
        return shape(from: start + 2, through: closing - 1).element
    }

    /// The element in `task.map(list, function(name) ...`.
    private func parameterOfMap(at place: Int) -> Shape? {
        guard place >= 2, isSymbol(place - 1, "("), tokens[place - 2].text == "function",
            let call = enclosing(place - 2), call.symbol == "(",
            shape(endingAt: call.index - 1) == .function("task.map")
        else { return nil }
        return shape(from: call.index + 1, through: place - 1).element
    }

    // MARK: Brackets

    struct Bracket: Equatable {
        let symbol: String
        let index: Int
    }

    /// The innermost bracket that is open before a token.
    func enclosing(_ index: Int) -> Bracket? {
        var depth = 0
        for place in stride(from: index - 1, through: 0, by: -1) where tokens[place].kind == .symbol {
            if isSymbol(place, ")", "}", "]") { depth += 1 }
            guard isSymbol(place, "(", "{", "[") else { continue }
            if depth == 0 { return Bracket(symbol: tokens[place].text, index: place) }
            depth -= 1
        }
        return nil
    }

    private func opening(of index: Int) -> Int? {
        guard isSymbol(index, ")", "}", "]") else { return nil }
        return enclosing(index)?.index
    }

    private func closing(of index: Int, through last: Int) -> Int? {
        var depth = 0
        for place in index...last where tokens[place].kind == .symbol {
            if isSymbol(place, "(", "{", "[") { depth += 1 }
            if isSymbol(place, ")", "}", "]") { depth -= 1 }
            if depth == 0 { return place }
        }
        return nil
    }

    /// Whether a token may be the end of something that is called or indexed.
    func endsExpression(_ index: Int) -> Bool {
        guard tokens.indices.contains(index) else { return false }
        switch tokens[index].kind {
        case .name: return !Self.keywords.contains(tokens[index].text)
        case .symbol: return isSymbol(index, ")", "]", "}")
        case .text: return true
        case .number: return false
        }
    }

    func isSymbol(_ index: Int, _ symbols: String...) -> Bool {
        tokens.indices.contains(index) && tokens[index].kind == .symbol && symbols.contains(tokens[index].text)
    }

    /// Lua's reserved words.
    static let keywords: Set<String> = [
        "and", "break", "do", "else", "elseif", "end", "false", "for", "function", "goto", "if", "in", "local", "nil",
        "not", "or", "repeat", "return", "then", "true", "until", "while",
    ]
}
