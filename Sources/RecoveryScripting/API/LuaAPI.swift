/// All that scripts see, in the order of the reference.
package enum LuaAPI {
    package static let globals = [HelpFunction.help]
    package static let modules = [RecoveryModule.module, TaskModule.module, LabModule.module]
    package static let types = [
        VaultObject.type, ServerObject.type, CloudObject.type, HostObject.type, PolicyObject.type, VMObject.type,
        ItemObject.type, RelationshipObject.type, PlanObject.type,
    ]
    package static let records: [RecordDeclaration] = [
        [
            Records.job, Records.stage, Records.point, Records.refusal, Records.next, Records.reply, Records.event,
            Records.labSite,
        ],
        PlanRecords.all,
    ].flatMap { $0 }
}
