import LuaHost
import RecoveryEngine
import SiteModel

/// Methods of a server about its nodes and its end.
enum ServerMembers {
    static let join = FunctionDeclaration(
        "join", "Takes a passive node into this server, or takes note that it was updated.",
        named: [
            .required("node", .text, "name of the node"),
            .required("version", .text, "its version: the same as the active node's"),
        ],
        errors: [
            ErrorDeclaration("refused", "rules active-node-first, one-version-on-all-nodes, version-not-usable")
        ],
        effect: .changes,
        example: """
            local role = vault:server { name = "vmm-role", role = "vmm-role", node = "node1", version = "0.1.0" }
            role:join { node = "node2", version = "0.1.0" }
            """,
        .waiting { call in
            let (arguments, server) = (call.arguments, call.receiver.id)
            try Handle.check(arguments.text("node"), of: "node")
            try await call.session.engine.join(
                node: arguments.text("node"), version: arguments.text("version"), to: server)
            return []
        })

    static let heartbeat = FunctionDeclaration(
        "heartbeat", "Notes that this server, and the node named, are alive now.",
        named: [.optional("node", .text, "the node that gives the sign", otherwise: "the server itself")],
        errors: [ErrorDeclaration("unknown", "the server has no such node")], effect: .changes,
        example: "vmm:heartbeat()",
        .waiting { call in
            try await call.session.engine.heartbeat(of: call.receiver.id, node: call.arguments.optionalText("node"))
            return []
        })

    static let unregister = FunctionDeclaration(
        "unregister",
        "Takes this server out of the vault with its clouds, networks and classes. Its VMs are unprotected, its mappings "
            + "removed and its clouds unpaired before.",
        errors: [ErrorDeclaration("refused", "rule unregister-in-order: the message names what is left, in order")],
        effect: .cannotBeUndone, ifCutOff: .removal,
        example: "vault:server { name = \"vmm02\", version = \"0.1.0\" }:unregister()",
        .waiting { call in
            try await call.session.engine.unregister(call.session.server(call.receiver))
            return []
        })

    static let unregistrationSteps = FunctionDeclaration(
        "unregistration_steps", "Lists what is left to do before this server can be unregistered, in order.",
        results: [ResultDeclaration("steps", .list(.record("unregistration_step")), "empty when it can be now")],
        effect: .reads,
        example: "for _, step in ipairs(vmm:unregistration_steps()) do print(step.action, step.name, step.call) end",
        .waiting { call in
            let server = try await call.session.server(call.receiver)
            return [
                .list(
                    try await call.session.engine.unregistrationSteps(of: server).map { step in
                        .table(
                            LuaTable([
                                "action": LuaValue(step.action.rawValue), "name": LuaValue(step.name),
                                "call": LuaValue(step.call),
                            ]))
                    })
            ]
        })

    static let step = RecordDeclaration(
        "unregistration_step", "One thing to do before a server can be unregistered.",
        fields: [
            ResultDeclaration(
                "action", .choice(UnregistrationStep.Action.allCases.map(\.rawValue)), "what is to be done"),
            ResultDeclaration("name", .text, "name of the object"),
            ResultDeclaration("call", .text, "the call that does it, in Lua"),
        ])
}
