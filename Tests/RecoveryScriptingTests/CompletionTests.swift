import LuaHost
import Testing

@testable import RecoveryScripting

@Suite("Completion from the declarations")
struct CompletionTests {
    private static let scope = CompletionScope(
        globals: [
            "vault": .object("vault"), "gold": .object("cloud"), "item": .object("item"), "vms": .list(.object("vm")),
            "print": .function(nil), "pairs": .function(nil), "my": .table(["state": .other, "start": .function(nil)]),
            "x y": .other,
        ],
        names: [.host: ["a1", "b1"], .vm: ["orders", "web"], .cloud: ["gold", "silver"], .policy: ["fast"]])

    private func texts(_ piece: String) -> [String] {
        Completion.after(piece, in: Self.scope).candidates.map(\.text)
    }

    @Test(
        "Only this is offered",
        arguments: [
            // Globals.
            ("rec", ["recovery"]), ("print(va", ["vault"]), ("pri", ["print"]), ("untl", []),
            ("x = function() retu", ["return"]),
            // Modules.
            ("recovery.", ["vault", "now", "log", "ask"]), ("recovery.l", ["log"]),
            ("task.s", ["sleep", "scope", "spawn"]),
            // Fields and methods.
            ("item.new", ["newest_point"]), ("item:failo", ["failover"]), ("vault:ho", ["host", "hosts"]),
            ("item:ne", ["next"]), ("vault:host", ["host", "hosts"]), ("vault:hosts", []), ("item . ep", ["epoch"]),
            ("item\n:commi", ["commit"]),
            // A point where only methods fit becomes a colon.
            ("vault.hos", [":host", ":hosts"]), ("item.failo", [":failover"]),
            // Chains.
            ("recovery.vault():host(\"a1\"):net", ["networks"]), ("item.owner.na", ["name"]),
            ("item.newest_point.ki", ["kind"]), ("vault:items()[1].targ", ["target"]),
            ("vault:host 'a1':vm", ["vms", "vm"]), ("(gold):map", ["map_network"]),
            ("item:sync().stages[1].na", ["name"]), ("vms[1]:prob", ["probe"]),
            ("gold:vm(vault:hosts()[1].name):rel", ["relationship"]),
            ("vault:policy { name = \"p\" }.copy", ["copy_frequency"]),
            // What the piece itself binds.
            ("local c <const> = gold.paired_with\nc:map", ["map_network"]),
            ("for _, vm in ipairs(gold:vms()) do vm:repl", ["replicate"]),
            ("task.map(gold:vms(), { limit = 4 }, function(each) each:prot", ["protect"]),
            ("local item = 3 item.ep", []), ("local t = { gold = 1 } gold:map", ["map_network"]),
            // A script's own tables, one level deep.
            ("my.st", ["start", "state"]), ("my:st", ["start"]),
            // Options.
            ("item:failover { ", ["kind = ", "point = ", "source = ", "shutdown_limit = ", "accept_damage = "]),
            (
                "item:failover { kind = \"planned\", ",
                ["point = ", "source = ", "shutdown_limit = ", "accept_damage = "]
            ),
            ("item:failover({ po", ["point = "]),
            ("item:failover { kind = \"planned\", s", ["source = ", "shutdown_limit = "]),
            ("gold:pair { with = vault:server(\"x\"):cloud(\"y\"), po", ["policy = "]),
            ("gold:vm(\"orders\"):test_failover { net", ["network = "]),
            ("vault:host { fence = { ap", ["apropos"]), ("x = item\nrec", ["recovery"]),
            // Words to choose from.
            ("item:failover { kind = ", ["\"planned\"", "\"unplanned\""]),
            ("item:failover { kind = \"un", ["unplanned\""]),
            ("item:failover { kind = '", ["planned'", "unplanned'"]),
            ("item:failover { source = \"decl", ["declared lost\""]),
            ("item:failover { point = \"", ["latest\"", "application-consistent\""]),
            ("item:can(\"reve", ["reverse\""]),
            ("item:can \"cle", ["clean-up-test\""]), ("vault:policy { compression = t", ["true"]),
            // Names that the vault holds.
            ("vault:host(\"", ["a1\"", "b1\""]), ("vault:host 'b", ["b1'"]), ("gold:vm(\"or", ["orders\""]),
            ("vault:replicated(\"w", ["web\""]), ("vault:server(\"x\"):cloud(\"s", ["silver\""]),
            ("help \"vault:pol", ["vault:policy\"", "vault:policies\""]), ("vault:host { name = \"", []),
            // Where nothing may be offered.
            ("-- vau", []), ("x = \"vau", []), ("item ", []), ("item:sync() ", []), ("--[[ vau", []), ("[[ vau", []),
            ("3", []), ("nothing.", []),
            ("nothing:", []), ("item:failover { colour = \"", []), ("require \"he", []), (")", []), ("].", []),
            ("item:failover { kind = \"planned\" }:", []),
        ] as [(String, [String])])
    func candidates(piece: String, expected: [String]) {
        let found = texts(piece)
        #expect(expected.count < 5 ? found == expected : found.starts(with: expected), "\(found)")
    }

    @Test(
        "Nothing that is typed goes wrong",
        arguments: ["item:failover { kind = \"pl", "task.map(gold:vms(), function(v) v:x("])
    func pieces(text: String) {
        for end in text.indices {
            for more in [
                "", "(", "{", "}", "]", ".", ":", "=", "\"", "'", "[[", "--", ",", "\\", "\u{e9}", "function(",
            ] {
                let completion = Completion.after(text[..<end] + more, in: Self.scope)
                #expect((text[..<end] + more).hasSuffix(completion.typed.hasPrefix(".") ? "" : completion.typed))
            }
        }
    }

    @Test("Each candidate comes with one line on what it is")
    func docs() throws {
        let method = try #require(Completion.after("item:failo", in: Self.scope).candidates.first)
        #expect(method.doc.hasPrefix("Starts the VM at the other side."))
        let field = try #require(Completion.after("item.ow", in: Self.scope).candidates.first)
        #expect(field.doc == "the one host whose copy may be written (host)")
        let option = try #require(Completion.after("item:probe { time", in: Self.scope).candidates.first)
        #expect(option.label == "timeout" && option.doc.contains("default \"5s\""))
        let all = ["", "item.", "item:", "vault:", "recovery.", "task.", "item:failover {"].flatMap {
            Completion.after($0, in: Self.scope).candidates
        }
        #expect(all.allSatisfy { !$0.doc.isEmpty && !$0.doc.contains("\n") })
    }

    @Test("On an empty line the API and the session's objects are offered, not all of Lua")
    func empty() {
        let found = texts("")
        #expect(found.contains("recovery") && found.contains("item") && found.contains("vms"))
        #expect(!found.contains("print") && !found.contains("my"))
        #expect(texts("x = item\n") == found && texts("x = ") == found && texts("do ") == found)
    }

    @Test(
        "What all candidates begin with can be typed for the user",
        arguments: [("vault:hos", "host"), ("vault.hos", ":host"), ("item:failover { s", "s"), ("nothing:", "")])
    func common(piece: String, expected: String) {
        #expect(Completion.after(piece, in: Self.scope).common == expected)
    }
}

@Suite("Completion in a session")
struct CompletionSessionTests {
    private func session(_ bench: Bench) async throws -> ReplSession {
        try await bench.run(Situation.protected.preparation)
        return try await ReplSession.start(engine: bench.engine, options: bench.options()) { bench.printed.append($0) }
    }

    @Test("Globals are known by what they hold, and the vault's names are offered")
    func globals() async throws {
        let session = try await session(Bench())
        for entry in [
            "vault = recovery.vault()", "gold = vault:server('vmm01'):cloud('gold')", "vms = gold:vms()",
            "health = require 'health'", "nested = { item = vault:items()[1] }",
        ] {
            guard case .printed = try await session.evaluate(entry) else {
                Issue.record("\(entry) failed")
                return
            }
        }
        let expected = [
            ("gol", ["gold"]), ("gold:map", ["map_network"]), ("vms[1]:prot", ["protect"]),
            ("health.", ["http", "until_"]), ("nested.item.ep", ["epoch"]), ("gold:vm(\"o", ["orders\""]),
            ("vault:host(\"", ["a1\"", "b1\""]), ("string.for", ["format"]), ("tonum", ["tonumber"]),
            ("math.hu", ["huge"]),
        ]
        for (piece, texts) in expected {
            #expect(await session.completion(after: piece).candidates.map(\.text) == texts, "\(piece)")
        }
    }

    @Test(
        "Nothing of the script's runs",
        arguments: [
            "x = setmetatable({}, { __index = function() print('ran') end, __pairs = print, __len = print })",
            "next = print type = print pcall = print tostring = print",
            "setmetatable(_G, { __index = function() print('ran') end, __pairs = print })",
            "x = setmetatable({ 1 }, { __tostring = function() print('ran') end, __name = 'vm<x>' })",
        ])
    func nothingRuns(entry: String) async throws {
        let bench = Bench()
        let session = try await session(bench)
        _ = try await session.evaluate("vault = recovery.vault()")
        _ = try await session.evaluate(entry)
        for piece in ["x.", "x:", "x[1].", "va", "nowhere.", "vault:it"] {
            _ = await session.completion(after: piece)
        }
        #expect(await session.completion(after: "vault:ite").candidates.map(\.text) == ["items"])
        #expect(bench.printed.all == [])
        guard case .printed(let value) = try await session.evaluate("1 + 1") else {
            Issue.record("the session does not go on")
            return
        }
        #expect(value == ["2"])
    }

    @Test("A large session is looked at in a moment")
    func large() async throws {
        let session = try await session(Bench())
        _ = try await session.evaluate("for i = 1, 2000 do _G['name' .. i] = { i } end big = {}")
        _ = try await session.evaluate("for i = 1, 20000 do big['key' .. i] = i end")
        let clock = ContinuousClock()
        let began = clock.now
        let found = await session.completion(after: "big.key")
        #expect(!found.candidates.isEmpty)
        #expect(clock.now - began < .seconds(60), "the machine may be busy, but not for a minute")
        let rest = await session.completion(after: String(repeating: "x = ", count: 100_000))
        #expect(rest.candidates.isEmpty)
    }
}
