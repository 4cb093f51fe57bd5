import LuaHost

/// Looks at the globals of an idle session without running anything of the script's: no metamethod, no function of its own.
///
/// The library functions it needs are taken before the script can put others in their place.
struct SessionGlobals: Sendable {
    private let state: LuaState
    private let tools: [LuaValue]
    /// Lua's own globals and what is in its libraries, as they are before the first entry.
    private let libraries: [String: Shape]

    /// - Parameter state: one in which nothing has run yet.
    init(of state: LuaState) async throws(LuaError) {
        self.state = state
        tools = try await state.run("return next, type, pcall, tostring", chunk: "completion")
        let members = try await state.run(Self.survey, chunk: "completion").first?.table ?? LuaTable()
        var libraries: [String: Shape] = [:]
        for field in members.fields {
            guard let name = field.key.text else { continue }
            libraries[name] = field.value.table.map { .table(Self.shapes($0)) } ?? Self.shape(field.value.text ?? "")
        }
        self.libraries = libraries
    }

    /// What each global is; of one that is a table also what is in it.
    ///
    /// - Parameter root: the global to look into.
    /// - Returns: Lua's own globals alone where the session's budgets leave no room for a look.
    func shapes(root: String?) async -> [String: Shape] {
        let values = try? await state.run(
            Self.snapshot, chunk: "completion", arguments: tools + [root.map { LuaValue($0) } ?? .nil])
        guard let values, values.count == 3, let kinds = values[0].table else { return libraries }
        var shapes = libraries.merging(Self.shapes(kinds)) { $1 }
        if let root, let element = values[1].text {
            shapes[root] = .list(Self.shape(element))
        } else if let root, let members = values[2].table {
            shapes[root] = .table(Self.shapes(members))
        }
        return shapes
    }

    private static func shapes(_ kinds: LuaTable) -> [String: Shape] {
        var shapes: [String: Shape] = [:]
        for field in kinds.fields {
            if let name = field.key.text, let kind = field.value.text { shapes[name] = shape(kind) }
        }
        return shapes
    }

    /// The shape of what `kind` in the snapshot says: an object says it the way `tostring` does, `vm<orders>`.
    private static func shape(_ kind: String) -> Shape {
        if kind == "function" { return .function(nil) }
        let type = kind.prefix { $0 != "<" }
        return kind.contains("<") && LuaAPI.types.contains { $0.name == type } ? .object(String(type)) : .other
    }

    private static let survey = """
        local found = {}
        for name, value in pairs(_G) do
           if type(value) == "table" and name ~= "_G" then
              local members = {}
              for member, inner in pairs(value) do
                 if type(member) == "string" then members[member] = type(inner) end
              end
              found[name] = members
           else
              found[name] = type(value)
           end
        end
        return found
        """

    /// Only userdata are turned to text: scripts cannot make any, so that `tostring` meets no function of theirs.
    private static let snapshot = """
        local next, type, pcall, tostring, root = ...
        local function kind(value)
           local word = type(value)
           return word == "userdata" and tostring(value) or word
        end
        local kinds, element, members = {}, nil, nil
        for name, value in next, _ENV do
           if type(name) == "string" then kinds[name] = kind(value) end
        end
        local value = root and kinds[root] == "table" and _ENV[root]
        if value then
           local read, key, first = pcall(next, value)
           if read and key == 1 then
              element = kind(first)
           elseif read then
              members = {}
              local count = 0
              while key ~= nil and count < 200 do
                 if type(key) == "string" then members[key] = kind(first) end
                 key, first = next(value, key)
                 count = count + 1
              end
           end
        end
        return kinds, element, members
        """
}
