import LuaHost
import RecoveryEngine
import SiteModel

/// Which of a VM's disks are replicated.
enum DiskMethods {
    static func leaveOut(_ type: String) -> FunctionDeclaration {
        FunctionDeclaration(
            "leave_out",
            "Says which disks of the VM are in no point from now on; all others are replicated, and one that was left out before "
                + "travels whole with the next point. Points that are whole stay as they are.",
            named: [
                .required("disks", .list(.text), "their names in the definition, as \"vdc\"; empty to take all in")
            ],
            results: [ResultDeclaration("excluded", .list(.text), "the disks that are left out")],
            errors: [
                ErrorDeclaration("invalid", "a disk that the VM does not have, or no disk would be left"),
                ErrorDeclaration("refused", "an operation or a failover is under way"),
            ],
            effect: .changes, example: "\(type):leave_out { disks = { \"vdc\" } }",
            .waiting { call in
                let relationship = try await call.session.relationship(of: call.receiver)
                let disks = call.arguments.texts("disks") ?? []
                let changed = try await call.session.engine.leaveOut(disks, of: relationship.id)
                return [.list((changed.excludedDisks ?? []).map { LuaValue($0) })]
            })
    }
}
