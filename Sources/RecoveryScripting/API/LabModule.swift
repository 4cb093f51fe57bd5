import LuaHost

/// `lab`: what a demonstration does to the lab and no production script needs.
enum LabModule {
    static let module = ModuleDeclaration(
        "lab", "The lab's sites and guests, for demonstrations and tests. Runs need --grant lab.", power: .lab,
        functions: [site, guest, console, lose, restore])

    private static let siteName = Parameter.required("site", .text, "\"a\" or \"b\"")

    private static let errors = [ErrorDeclaration("host", "the lab has no such site or guest, or is not set up")]

    static let site = FunctionDeclaration(
        "site", "Says how a site is reached and fenced.", positional: [siteName],
        results: [ResultDeclaration("site", .record("lab_site"), "the site")], errors: errors, effect: .reads,
        example: "local a = lab.site(\"a\")",
        .waiting { call in
            let site = try await power(call).site(call.arguments.text("site"))
            return [
                .table(
                    LuaTable([
                        "name": LuaValue(site.name), "uri": LuaValue(site.uri), "agent": LuaValue(site.agent),
                        "address": LuaValue(site.address), "store": LuaValue(site.store),
                        "fence": .list(site.fence.map { LuaValue($0) }),
                    ]))
            ]
        })

    static let guest = FunctionDeclaration(
        "guest", "Says what is known of a guest.", positional: [.required("name", .text, "the guest")],
        results: [ResultDeclaration("guest", .map(.text), "{address=} its IPv4 address")], errors: errors,
        effect: .reads,
        example: "local address = lab.guest(\"orders\").address",
        .waiting { call in
            let address = try await power(call).address(ofGuest: call.arguments.text("name"))
            return [.table(LuaTable(["address": LuaValue(address)]))]
        })

    static let console = FunctionDeclaration(
        "console", "Says what a guest's console tells of its last power-off at a site.",
        positional: [.required("guest", .text, "the guest"), siteName],
        results: [
            ResultDeclaration(
                "console", .map(.integer),
                "{records_at_poweroff=} records in its log then; nil if it never powered off", unit: .count)
        ],
        errors: errors, effect: .reads, example: "local exact = lab.console(\"orders\", \"a\").records_at_poweroff",
        .waiting { call in
            let records = try await power(call).recordsAtPowerOff(
                ofGuest: call.arguments.text("guest"), site: call.arguments.text("site"))
            return [.table(LuaTable(["records_at_poweroff": records.map { .integer($0) } ?? .nil]))]
        })

    static let lose = FunctionDeclaration(
        "lose", "Ends a site at one instant: guests, hypervisor, agent and disks.", positional: [siteName],
        errors: errors, effect: .cannotBeUndone, example: "lab.lose(\"a\")",
        .waiting { call in
            try await power(call).lose(call.arguments.text("site"))
            return []
        })

    static let restore = FunctionDeclaration(
        "restore", "Brings a lost site back, with its disks as they were; its guests stay off.",
        positional: [siteName], errors: errors, effect: .changes, example: "lab.restore(\"a\")", in: .lost,
        .waiting { call in
            try await power(call).restore(call.arguments.text("site"))
            return []
        })

    private static func power(_ call: Call) throws(LuaError) -> any LabPower {
        guard let power = call.session.labPower else {
            throw LuaError(
                .notGranted, "\(call.context.function): there is no lab here", hint: "perilune lab up makes one")
        }
        return power
    }
}
