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
        effect: .cannotBeUndone, example: "vault:server { name = \"vmm02\" }:unregister()",
        .waiting { call in
            try await call.session.engine.unregister(call.session.server(call.receiver))
            return []
        })
}
