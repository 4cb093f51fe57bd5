import LuaHost
import RecoveryEngine
import SiteModel

/// Test failover and its clean-up.
enum TestMethods {
    static func testFailover(_ type: String) -> FunctionDeclaration {
        FunctionDeclaration(
            "test_failover",
            "Starts a copy of the VM from a recovery point, beside production and outside every cloud. It is cleaned "
                + "up by clean_up_test, at the end of this run, or when its time is over, whichever comes first.",
            named: [
                .optional("point", Operations.point, "the recovery point", default: "latest", unit: .ordinal),
                Operations.acceptDamage,
                .optional(
                    "network", .text,
                    "where the copy is connected: \"none\", \"create\" for an isolated network made for this test, or the "
                        + "name of an isolated network",
                    default: "none"),
                .optional(
                    "force", .text, "why it may be in a network of production while the primary VM is off",
                    otherwise: "such a network is refused"),
                .optional("keep", .boolean, "whether it outlives this run", default: false),
                .optional(
                    "within", .duration, "how long it may last", otherwise: "two weeks", range: 60...7_776_000),
                .optional("scratch", .size, "how much the copy may write", otherwise: "a tenth of its disks"),
                .optional("notes", .text, "what is to be remembered of it", otherwise: "nothing"),
                .optional(
                    "host_address", .text,
                    "create only: the target host's own address in the first network made, such as \"192.168.77.1/24\", so "
                        + "that probes reach the copy", otherwise: "the host stays out of it"),
                .optional(
                    "dhcp", .text, "create only, with host_address: range that libvirt's DHCP server gives out",
                    otherwise: "none"),
            ],
            results: [Operations.job],
            errors: Operations.errors + [
                ErrorDeclaration("invalid", "no room for what the copy may write, or no address for a NIC"),
                ErrorDeclaration("unknown", "the target has no such network; the hint has the nearest"),
            ], effect: .changes,
            example: "local test = \(type):test_failover { network = \"create\", within = \"2h\", keep = true }",
            .waiting { call in
                let arguments = call.arguments
                var options = Operations.engineArguments(
                    call, from: ["network", "force", "notes", "within", "host_address", "dhcp", "accept_damage"])
                options["point"] = try Operations.pointArgument(call)
                options["scratch"] = arguments.optionalInteger("scratch").map { "\($0)" }
                for name in ["host_address", "dhcp"] where options[name] != nil && options["network"] != "create" {
                    throw LuaError(
                        .argument, "\(call.name): '\(name)' has a meaning with network = \"create\" alone",
                        hint: "leave '\(name)' out")
                }
                if options["dhcp"] != nil, options["host_address"] == nil {
                    throw LuaError(
                        .argument, "\(call.name): 'dhcp' needs 'host_address', where the server answers",
                        hint: "as in host_address = \"192.168.77.1/24\"")
                }
                if arguments.optionalBoolean("keep") == true {
                    options["keep"] = "true"
                } else {
                    try await call.session.lease.hold()
                }
                return try await Operations.perform(.testFailover, call, options)
            })
    }

    static func cleanUp(_ type: String) -> FunctionDeclaration {
        FunctionDeclaration(
            "clean_up_test",
            "Removes the test VM, its disks and the networks made for it. Only then has the test passed.",
            named: [.optional("notes", .text, "what is to be remembered of the test", otherwise: "nothing")],
            results: [Operations.job], errors: Operations.errors, effect: .changes,
            example: "local job = \(type):clean_up_test { notes = \"orders could log in\" }", in: .testing,
            .waiting { call in
                try await Operations.perform(
                    .cleanUpTest, call, Operations.engineArguments(call, from: ["notes"]))
            })
    }
}
