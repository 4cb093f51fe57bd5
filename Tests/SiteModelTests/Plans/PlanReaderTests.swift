import SiteModel
import Testing

@Suite("Plans as plain data")
struct PlanReaderTests {
    private static func plan(_ change: (inout [String: PlanValue]) -> Void = { _ in }) -> PlanValue {
        var table: [String: PlanValue] = [
            "name": .text("shop"), "source": .text("vmm"),
            "groups": .list([.table(["name": .text("db"), "vms": .list([.text("orders")])])]),
        ]
        change(&table)
        return .table(table)
    }

    private static func group(_ fields: [String: PlanValue]) -> PlanValue {
        plan { $0["groups"] = .list([.table(fields)]) }
    }

    private static func action(_ fields: [String: PlanValue]) -> PlanValue {
        group(["vms": .list([.text("orders")]), "after": .list([.table(fields)])])
    }

    struct Case: Sendable, CustomTestStringConvertible {
        var what: String
        var value: PlanValue
        var field: String
        var says: String
        var hint: String?
        var testDescription: String { what }
    }

    static let wrong: [Case] = [
        Case(what: "no table", value: .text("x"), field: "", says: "must be a table with names, got \"x\""),
        Case(what: "no name", value: plan { $0["name"] = nil }, field: "name", says: "must be text, got nothing"),
        Case(
            what: "a name of a number", value: plan { $0["name"] = .number(3) }, field: "name",
            says: "must be text, got 3"),
        Case(
            what: "a name with a slash", value: plan { $0["name"] = .text("a/b") }, field: "name",
            says: "must be 1 to 128 characters, no '/' and no control characters"),
        Case(what: "no source", value: plan { $0["source"] = nil }, field: "source", says: "must be text, got nothing"),
        Case(
            what: "an unknown field", value: plan { $0["grups"] = .list([]) }, field: "", says: "has no field 'grups'",
            hint: "did you mean 'groups'?"),
        Case(
            what: "another format", value: plan { $0["format"] = .text("perilune-plan/9") }, field: "format",
            says: "must be \"perilune-plan/1\", got \"perilune-plan/9\""),
        Case(
            what: "groups of text", value: plan { $0["groups"] = .text("db") }, field: "groups",
            says: "must be a list, got \"db\""),
        Case(
            what: "no groups", value: plan { $0["groups"] = .list([]) }, field: "groups",
            says: "must hold 1 to 1000 groups, got 0"),
        Case(
            what: "a group that is text", value: plan { $0["groups"] = .list([.text("db")]) }, field: "groups[1]",
            says: "must be a table with names, got \"db\""),
        Case(
            what: "an unknown field of a group", value: group(["vm": .list([.text("orders")])]), field: "groups[1]",
            says: "has no field 'vm'", hint: "did you mean 'vms'?"),
        Case(
            what: "an unknown kind", value: group(["kind": .text("boots")]), field: "groups[1].kind",
            says: "must be \"shutdown\" or \"failover\" or \"boot\", got \"boots\"", hint: "did you mean \"boot\"?"),
        Case(
            what: "a VM that is a number", value: group(["vms": .list([.number(1)])]), field: "groups[1].vms[1]",
            says: "must be text, got 1"),
        Case(
            what: "VMs in a shutdown group",
            value: group(["kind": .text("shutdown"), "vms": .list([.text("orders")])]), field: "groups[1].vms",
            says: "must be left out of a shutdown group: that step is taken with all VMs of the plan"),
        Case(
            what: "a shutdown group that waits", value: group(["kind": .text("failover"), "depends_on": .list([])]),
            field: "groups[1].depends_on", says: "must be left out of a failover group: its place in the run is fixed"),
        Case(
            what: "an action without work", value: action(["name": .text("x")]), field: "groups[1].after[1]",
            says: "says nothing to do; an action has exactly one of call, check, command, manual, wait"),
        Case(
            what: "an action with two works", value: action(["wait": .number(1), "manual": .text("x")]),
            field: "groups[1].after[1]",
            says: "says manual and wait; an action has exactly one of call, check, command, manual, wait"),
        Case(
            what: "a call without function", value: action(["call": .text("dns")]), field: "groups[1].after[1].call",
            says: "must be \"module.function\", got \"dns\""),
        Case(
            what: "a call with a path", value: action(["call": .text("../dns.f")]), field: "groups[1].after[1].call",
            says: "must be \"module.function\", got \"../dns.f\""),
        Case(
            what: "a function in a file", value: action(["inline": .number(1)]), field: "groups[1].after[1].inline",
            says: "a function has no place in a file"),
        Case(
            what: "a command without full path",
            value: action(["host": .text("a1"), "command": .list([.text("ls")])]), field: "groups[1].after[1].command",
            says: "must be a list of 1 to 256 words of which the first is a program's full path"),
        Case(
            what: "a shell line", value: action(["host": .text("a1"), "command": .text("ls -l")]),
            field: "groups[1].after[1].command", says: "must be a list, got \"ls -l\""),
        Case(
            what: "a command at two places",
            value: action(["command": .list([.text("/bin/ls")]), "host": .text("a1"), "guest": .text("orders")]),
            field: "groups[1].after[1]", says: "a command runs at one place, and both 'host' and 'guest' are given"),
        Case(
            what: "a wait on a host", value: action(["wait": .text("1s"), "host": .text("a1")]),
            field: "groups[1].after[1].host", says: "has no meaning beside 'wait': it says where a command runs"),
        Case(
            what: "an unknown occasion", value: action(["wait": .number(1), "on": .list([.text("tests")])]),
            field: "groups[1].after[1].on[1]",
            says:
                "must be \"test\" or \"clean-up-test\" or \"planned\" or \"unplanned\" or \"commit\" or \"reverse\", got \"tests\"",
            hint: "did you mean \"test\"?"),
        Case(
            what: "no occasion", value: action(["wait": .number(1), "on": .list([])]), field: "groups[1].after[1].on",
            says: "must name at least one, got none"),
        Case(
            what: "an unknown direction", value: action(["wait": .number(1), "directions": .list([.text("back")])]),
            field: "groups[1].after[1].directions[1]",
            says: "must be \"primary-to-recovery\" or \"recovery-to-primary\", got \"back\""),
        Case(
            what: "a time limit of nothing", value: action(["manual": .text("x"), "timeout": .number(0)]),
            field: "groups[1].after[1].timeout",
            says: "must be a duration such as \"30s\", \"5min\" or \"2h\", or seconds from 0.1 to 604800, got 0"),
        Case(
            what: "a time limit without unit", value: action(["manual": .text("x"), "timeout": .text("30")]),
            field: "groups[1].after[1].timeout",
            says: "must be a duration such as \"30s\", \"5min\" or \"2h\", or seconds from 0.1 to 604800, got \"30\""),
        Case(
            what: "half a retry", value: action(["manual": .text("x"), "retries": .number(0.5)]),
            field: "groups[1].after[1].retries", says: "must be an integer from 0 to 100, got 0.5"),
        Case(
            what: "critical as text", value: action(["manual": .text("x"), "critical": .text("yes")]),
            field: "groups[1].after[1].critical", says: "must be true or false, got \"yes\""),
        Case(
            what: "a check of a port too high",
            value: action(["check": .table(["vm": .text("orders"), "host": .text("10.0.0.1"), "port": .number(70000)])]
            ),
            field: "groups[1].after[1].check.port", says: "must be an integer from 1 to 65535, got 70000"),
        Case(
            what: "a check of no path",
            value: action(["check": .table(["vm": .text("orders"), "host": .text("10.0.0.1"), "path": .text("x")])]),
            field: "groups[1].after[1].check.path",
            says: "must begin with '/' and hold neither blanks nor control characters"),
        Case(
            what: "text with a zero byte", value: action(["manual": .text("a\0b")]), field: "groups[1].after[1].manual",
            says: "must be 1 to 65536 bytes of text without zero bytes"),
    ]

    @Test("What is wrong is refused with the field, what was given and what is allowed", arguments: wrong)
    func refused(_ given: Case) throws {
        let problem = try #require(throws: PlanProblem.self) { try PlanReader().plan(given.value) }
        #expect(problem.field == given.field)
        #expect(problem.sentence == given.says)
        if let hint = given.hint { #expect(problem.hint == hint) }
    }

    static let full = RecoveryPlan(
        id: "1", name: "shop", source: "vmm-a", target: "vmm-b",
        groups: [
            PlanGroup(
                name: "shutdown", kind: .shutdown,
                before: [PlanAction(name: "tell", work: .manual(instructions: "Tell the \"users\".\nThen go on."))]),
            PlanGroup(name: "failover", kind: .failover, after: [PlanAction(name: "wait", work: .wait(seconds: 1.5))]),
            PlanGroup(
                name: "database", vms: ["orders", "ledger"],
                after: [
                    PlanAction(
                        name: "answers", work: .check(vm: "orders", host: "10.0.0.1", port: 5432, path: "/health"),
                        operations: [.test, .unplanned], directions: [.primaryToRecovery], timeout: 30, retries: 2,
                        isCritical: false)
                ]),
            PlanGroup(
                name: "web", vms: ["web"],
                before: [
                    PlanAction(name: "dns", work: .function(module: "site.dns", function: "update")),
                    PlanAction(name: "command", work: .command(host: "a1", argv: ["/bin/ls", "-l", "a b"])),
                    PlanAction(name: "local", work: .command(host: nil, argv: ["/bin/date"])),
                    PlanAction(name: "command", work: .guestCommand(vm: "web", argv: ["/bin/true"])),
                ], dependsOn: ["database", "infra/dns"]),
            PlanGroup(name: "late", vms: [], dependsOn: []),
        ], dependsOn: ["infra"])

    @Test("What is written is read as the same plan")
    func roundTrip() throws {
        let value = PlanWriter.value(Self.full, source: "vmm-a", target: "vmm-b")
        let draft = try PlanReader().plan(value)
        #expect(draft.groups == Self.full.groups)
        #expect(draft.dependsOn == ["infra"])
        #expect([draft.name, draft.source, draft.target] == ["shop", "vmm-a", "vmm-b"])
    }

    @Test("The target is the source where it is left out, and names are given where there are none")
    func defaults() throws {
        let draft = try PlanReader().plan(
            Self.plan {
                $0["groups"] = .list([
                    .table(["vms": .list([.text("a")]), "after": .list([.table(["wait": .text("2min")])])]),
                    .table(["kind": .text("shutdown")]),
                ])
            })
        #expect(draft.target == "vmm")
        #expect(draft.groups.map(\.name) == ["group 1", "shutdown"])
        let action = try #require(draft.groups[0].after.first)
        #expect(action.work == .wait(seconds: 120))
        #expect(action.operations == [.test, .planned, .unplanned])
        #expect(action.directions == PlanDirection.allCases)
        #expect(action.retries == 0 && action.isCritical)
    }

    @Test("A script's action has the reference's time limit, a person has a week")
    func timeLimits() {
        #expect(PlanAction(name: "", work: .function(module: "a", function: "b")).timeout == 600)
        #expect(PlanAction(name: "", work: .manual(instructions: "x")).timeout == 604_800)
    }

    @Test("The text of a plan has one value a line and its keys in order")
    func text() {
        let plan = RecoveryPlan(
            id: "1", name: "shop", source: "x", target: "x",
            groups: [PlanGroup(name: "db", vms: ["orders", "a\"b\u{1}"])])
        #expect(
            PlanText.json(PlanWriter.value(plan, source: "vmm", target: "vmm")) == """
                {
                  "format": "perilune-plan/1",
                  "groups": [
                    {
                      "name": "db",
                      "vms": [
                        "orders",
                        "a\\"b\\u0001"
                      ]
                    }
                  ],
                  "name": "shop",
                  "source": "vmm",
                  "target": "vmm"
                }

                """)
    }

    @Test("A plan prints as a tree, in the order of a run")
    func tree() {
        #expect(
            Self.full.tree(source: "vmm-a", target: "vmm-b") == """
                shop: vmm-a -> vmm-b, 3 VMs, after infra
                ├─ shutdown
                │  └─ before: tell: manual: Tell the "users".
                ├─ failover
                │  └─ after: wait 1.5 s
                ├─ database
                │  ├─ orders
                │  ├─ ledger
                │  └─ after: answers: check http://10.0.0.1:5432/health of orders (on test, unplanned; \
                primary-to-recovery; within 30 s; 2 more tries; not critical)
                ├─ web (after database, infra/dns)
                │  ├─ before: dns: call site.dns.update
                │  ├─ before: run /bin/ls -l a b on a1
                │  ├─ before: local: run /bin/date
                │  ├─ before: run /bin/true in web
                │  └─ web
                └─ late (waits for nothing)
                """)
    }
}
