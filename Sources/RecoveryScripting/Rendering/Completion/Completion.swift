/// What may follow a piece of Lua, from the declarations and what a session knows; nothing is run to find out.
package struct Completion: Equatable, Sendable {
    package struct Candidate: Hashable, Sendable {
        /// What takes the place of ``Completion/typed``.
        package let text: String
        /// How a list shows it.
        package let label: String
        /// One line; empty where there is nothing to say.
        package let doc: String

        init(_ text: String, label: String? = nil, _ doc: String) {
            self.text = text
            self.label = label ?? text
            self.doc = doc
        }
    }

    /// The end of the piece that candidates take the place of.
    package var typed = ""
    /// Alphabetical, or in the order of the declaration.
    package var candidates: [Candidate] = []

    /// The candidates after a piece of Lua that ends at the cursor.
    package static func after(_ piece: String, in scope: CompletionScope) -> Completion {
        CompletionSearch(piece, scope).result
    }

    /// The global whose members a session should look at before it asks for candidates; nil when none matters.
    package static func root(of piece: String) -> String? {
        let tokens = LuaTokens(piece)
        let end = tokens.all.count - (tokens.typedName.isEmpty ? 1 : 2)
        let inference = ShapeInference(tokens: tokens.all, scope: CompletionScope())
        guard inference.isSymbol(end, ".", ":"), let start = inference.start(ofExpressionEndingAt: end - 1),
            tokens.all[start].kind == .name
        else { return nil }
        return tokens.all[start].text
    }

    /// What all candidates begin with.
    package var common: String {
        guard var common = candidates.first?.text else { return typed }
        for candidate in candidates.dropFirst() {
            while !candidate.text.hasPrefix(common) { common.removeLast() }
        }
        return common
    }
}

/// One search for candidates.
private struct CompletionSearch {
    typealias Candidate = Completion.Candidate

    let tokens: LuaTokens
    let scope: CompletionScope
    /// The tokens before what is being typed.
    let before: [LuaTokens.Token]
    let inference: ShapeInference

    init(_ piece: String, _ scope: CompletionScope) {
        tokens = LuaTokens(piece)
        self.scope = scope
        before = tokens.typedName.isEmpty || tokens.ending != .nothing ? tokens.all : tokens.all.dropLast()
        inference = ShapeInference(tokens: before, scope: scope)
    }

    var result: Completion {
        switch tokens.ending {
        case .comment: return Completion()
        case .text(let quote, let typed): return matching(typed, texts(quote))
        case .nothing: break
        }
        let typed = tokens.typedName
        let end = before.count - 1
        if inference.isSymbol(end, ".") { return dotted(typed, inference.shape(endingAt: end - 1)) }
        if inference.isSymbol(end, ":") {
            return matching(typed, CompletionLists.methods(of: inference.shape(endingAt: end - 1)))
        }
        if let option = optionPlace() {
            if option.name == nil { return matching(typed, keys(option)) }
            let values = matching(typed, values(option))
            if !values.candidates.isEmpty { return values }
        }
        let follows = before.last?.kind == .number || inference.endsExpression(end)
        if typed.isEmpty, follows, !tokens.isAtNewLine { return Completion() }
        return matching(typed, CompletionLists.globals(scope, showsAll: !typed.isEmpty))
    }

    private func matching(_ typed: String, _ candidates: [Candidate]) -> Completion {
        let fitting = candidates.filter { $0.text.hasPrefix(typed) }
        return Completion(typed: typed, candidates: fitting.map(\.text) == [typed] ? [] : fitting)
    }

    /// Fields; where none fits, methods, and then the point becomes a colon.
    private func dotted(_ typed: String, _ shape: Shape) -> Completion {
        let fields = matching(typed, CompletionLists.fields(of: shape))
        guard fields.candidates.isEmpty, case .object = shape else { return fields }
        let methods = CompletionLists.methods(of: shape).filter { $0.text.hasPrefix(typed) }
        return Completion(
            typed: "." + typed,
            candidates: methods.map { Candidate(":" + $0.text, label: $0.label, $0.doc) })
    }

    // MARK: Options

    /// A place inside the table of options of a call.
    private struct OptionPlace {
        let declaration: FunctionDeclaration
        let given: Set<String>
        /// The option whose value is typed; nil where a name is.
        let name: String?
    }

    /// Where the cursor is among the options of a declared function; nil when it is not.
    private func optionPlace() -> OptionPlace? {
        guard let brace = inference.enclosing(before.count), brace.symbol == "{",
            let function = functionTakingTable(at: brace.index)
        else { return nil }
        var given: Set<String> = []
        var depth = 0
        var last = brace.index
        for index in (brace.index + 1)..<max(brace.index + 1, before.count) {
            if inference.isSymbol(index, "(", "{", "[") { depth += 1 }
            if inference.isSymbol(index, ")", "}", "]") { depth -= 1 }
            guard depth == 0 else { continue }
            if inference.isSymbol(index, ",", ";") { last = index }
            if inference.isSymbol(index, "="), index == last + 2 { given.insert(before[index - 1].text) }
        }
        switch before.count - 1 - last {
        case 0: return OptionPlace(declaration: function, given: given, name: nil)
        case 2 where inference.isSymbol(last + 2, "="):
            return OptionPlace(declaration: function, given: given, name: before[last + 1].text)
        default: return nil
        }
    }

    /// The function whose options the table at a brace holds.
    private func functionTakingTable(at brace: Int) -> FunctionDeclaration? {
        if inference.endsExpression(brace - 1) { return function(endingAt: brace - 1) }
        guard inference.isSymbol(brace - 1, "(", ","), let call = inference.enclosing(brace), call.symbol == "(",
            let function = function(endingAt: call.index - 1),
            commas(from: call.index, to: brace) == function.positional.count
        else { return nil }
        return function
    }

    private func function(endingAt index: Int) -> FunctionDeclaration? {
        guard index >= 0, case .function(let name?) = inference.shape(endingAt: index) else { return nil }
        return LuaAPI.functions.first { $0.publicName == name }?.declaration
    }

    /// How many commas stand between a bracket and a token, outside inner brackets.
    private func commas(from bracket: Int, to end: Int) -> Int {
        (bracket + 1..<max(bracket + 1, end)).count { index in
            inference.isSymbol(index, ",") && inference.enclosing(index)?.index == bracket
        }
    }

    private func keys(_ place: OptionPlace) -> [Candidate] {
        place.declaration.named.filter { !place.given.contains($0.name) }.map {
            Candidate("\($0.name) = ", label: $0.name, "\($0.doc) (\($0.summary))")
        }
    }

    private func values(_ place: OptionPlace) -> [Candidate] {
        guard let parameter = place.declaration.named.first(where: { $0.name == place.name }) else { return [] }
        if case .boolean = parameter.type { return ["true", "false"].map { Candidate($0, parameter.doc) } }
        guard tokens.typedName.isEmpty else { return [] }
        return CompletionLists.words(for: parameter, scope).map { Candidate("\"\($0)\"", parameter.doc) }
    }

    // MARK: Texts

    /// What the text that is being typed may be: a word to choose, or a name that the vault holds.
    private func texts(_ quote: String) -> [Candidate] {
        guard !quote.isEmpty else { return [] }
        var parameter: Parameter?
        if let place = optionPlace(), let name = place.name {
            parameter = place.declaration.named.first { $0.name == name }
        } else if inference.endsExpression(before.count - 1), let function = function(endingAt: before.count - 1) {
            parameter = function.lookup ?? function.positional.first
        } else if inference.isSymbol(before.count - 1, "(", ","),
            let call = inference.enclosing(before.count), call.symbol == "(",
            let function = function(endingAt: call.index - 1)
        {
            let index = commas(from: call.index, to: before.count)
            parameter =
                index == 0 && function.lookup != nil
                ? function.lookup : function.positional.dropFirst(index).first
        }
        guard let parameter else { return [] }
        return CompletionLists.words(for: parameter, scope).map { Candidate($0 + quote, label: $0, "") }
    }
}
