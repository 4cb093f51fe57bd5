import SiteModel
import Testing

@Suite("What plans may say together")
struct PlanChecksTests {
    private static func plan(_ name: String, _ groups: [PlanGroup], after: [String] = []) -> RecoveryPlan {
        RecoveryPlan(id: name, name: name, source: "s", target: "s", groups: groups, dependsOn: after)
    }

    private static func group(_ name: String, _ vms: [String] = [], after: [String]? = nil) -> PlanGroup {
        PlanGroup(name: name, vms: vms, dependsOn: after)
    }

    struct Case: Sendable, CustomTestStringConvertible {
        var what: String
        var plan: RecoveryPlan
        var others: [RecoveryPlan] = []
        var says: String
        var rule: String?
        var testDescription: String { what }
    }

    static let wrong: [Case] = [
        Case(
            what: "only a shutdown group", plan: plan("p", [PlanGroup(name: "s", kind: .shutdown)]),
            says: "groups: a plan needs at least one group with VMs"),
        Case(
            what: "two groups of one name", plan: plan("p", [group("a"), group("a")]),
            says: "groups[2].name: a second group is called \"a\""),
        Case(
            what: "two shutdown groups",
            plan: plan(
                "p", [group("a"), PlanGroup(name: "s", kind: .shutdown), PlanGroup(name: "t", kind: .shutdown)]),
            says: "groups: two groups are of kind shutdown; a run takes that step once"),
        Case(
            what: "a VM in two groups", plan: plan("p", [group("a", ["x", "y"]), group("b", ["y"])]),
            says: "groups[2].vms: y is in groups \"a\" and \"b\"", rule: "one-group-per-vm"),
        Case(
            what: "a VM twice in one group", plan: plan("p", [group("a", ["x", "x"])]),
            says: "groups[1].vms: x is in group \"a\" twice", rule: "one-group-per-vm"),
        Case(
            what: "a check of a VM elsewhere",
            plan: plan(
                "p",
                [
                    PlanGroup(
                        name: "a", vms: ["orders"],
                        after: [PlanAction(name: "c", work: .check(vm: "ordres", host: "h", port: 80, path: "/"))])
                ]), says: "groups[1]: action 'c' is about ordres, which is not in the plan"),
        Case(
            what: "an unknown group", plan: plan("p", [group("data"), group("web", after: ["dta"])]),
            says: "groups[2].depends_on: there is no boot group 'dta'"),
        Case(
            what: "an unknown group of another plan", plan: plan("p", [group("web", after: ["q/x"])]),
            others: [plan("q", [group("y")])], says: "groups[1].depends_on: there is no boot group 'q/x'"),
        Case(
            what: "an unknown plan", plan: plan("p", [group("a")], after: ["q"]),
            says: "depends_on: there is no plan 'q'"),
        Case(
            what: "a plan after itself", plan: plan("p", [group("a")], after: ["p"]),
            says: "depends_on: a plan cannot depend on itself"),
        Case(
            what: "a group after itself", plan: plan("p", [group("a", after: ["a"])]),
            says: "the groups wait for each other in a circle: p/a -> p/a", rule: "plan-cycle"),
        Case(
            what: "a circle of three",
            plan: plan("p", [group("a", after: ["c"]), group("b", after: ["a"]), group("c", after: ["b"])]),
            says: "the groups wait for each other in a circle: p/a -> p/c -> p/b -> p/a", rule: "plan-cycle"),
        Case(
            what: "a circle by the order written", plan: plan("p", [group("a", after: ["b"]), group("b")]),
            says: "the groups wait for each other in a circle: p/a -> p/b -> p/a", rule: "plan-cycle"),
        Case(
            what: "a circle through another plan", plan: plan("p", [group("a", after: ["q/x"])]),
            others: [plan("q", [group("x")], after: ["p"])],
            says: "the groups wait for each other in a circle: p/a -> q/x -> p/a", rule: "plan-cycle"),
    ]

    @Test("A plan that contradicts itself or others is refused", arguments: wrong)
    func refused(_ given: Case) throws {
        let problem = try #require(given.plan.problem(among: given.others))
        #expect("\(problem)" == given.says)
        #expect(problem.rule == given.rule)
    }

    @Test("Groups may wait for several, or for none, and across plans")
    func allowed() {
        let infra = Self.plan("infra", [Self.group("dns", ["ns"])])
        let shop = Self.plan(
            "shop",
            [
                Self.group("db", ["orders"], after: ["infra/dns"]), Self.group("queue", ["mq"], after: []),
                Self.group("web", ["web"], after: ["db", "queue"]),
            ])
        #expect(shop.problem(among: [infra]) == nil)
        #expect(PlanGraph([infra, shop]).needed(by: "shop/web") == ["shop/db", "shop/queue"])
        #expect(PlanGraph([infra, shop]).cycle == nil)
    }

    @Test("A chain of a thousand groups and one that leads back are both judged")
    func long() throws {
        var groups = (1...1000).map { Self.group("g\($0)") }
        #expect(Self.plan("p", groups).problem(among: []) == nil)
        groups[0].dependsOn = ["g1000"]
        let problem = try #require(Self.plan("p", groups).problem(among: []))
        #expect(problem.rule == "plan-cycle")
        #expect(problem.sentence.hasSuffix("p/g2 -> p/g1"))
    }

    @Test("An action is done where its kind and its direction both fit", arguments: PlanOperation.allCases)
    func applies(_ operation: PlanOperation) {
        let action = PlanAction(
            name: "", work: .wait(seconds: 0), operations: [.test, .cleanUpTest], directions: [.recoveryToPrimary])
        #expect(action.applies(to: operation, .recoveryToPrimary) == [.test, .cleanUpTest].contains(operation))
        #expect(!action.applies(to: operation, .primaryToRecovery))
    }
}
