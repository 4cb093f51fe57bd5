import SiteModel
import Testing

struct PairingCase: Sendable, CustomTestStringConvertible {
    var title: String
    var recovery = Cloud(id: "silver", name: "silver", server: "s", hosts: ["host-b"])
    var existing: [CloudPair] = []
    var policyExists = true
    var rule: String?
    var testDescription: String { title }
}

@Suite("Pairing of clouds")
struct PairingTests {
    static let gold = Cloud(id: "gold", name: "gold", server: "s", hosts: ["host-a"])
    static let cases: [PairingCase] = [
        PairingCase(title: "two clouds of one server", rule: nil),
        PairingCase(title: "a cloud with itself", recovery: gold, rule: "two-clouds-on-one-server"),
        PairingCase(
            title: "primary already paired as target", existing: [pair("bronze", "gold")], rule: "one-pair-per-cloud"),
        PairingCase(
            title: "recovery already paired", existing: [pair("silver", "bronze")], rule: "one-pair-per-cloud"),
        PairingCase(title: "another pair does not matter", existing: [pair("tin", "bronze")], rule: nil),
        PairingCase(title: "without a policy", policyExists: false, rule: "policy-required"),
    ]

    static func pair(_ primary: String, _ recovery: String) -> CloudPair {
        CloudPair(id: "x", name: "x", primary: primary, recovery: recovery, policy: "p")
    }

    @Test("A cloud is in one pair at most, never with itself, always under a policy", arguments: cases)
    func pairing(question: PairingCase) {
        let refusal = Guards.checkPair(
            Self.gold, with: question.recovery, existing: question.existing, policyExists: question.policyExists)
        #expect(refusal?.rule.id == question.rule)
    }

    @Test("A pair names the partner of each of its clouds")
    func partner() {
        let pair = Self.pair("gold", "silver")
        #expect(pair.partner(of: "gold") == "silver")
        #expect(pair.partner(of: "silver") == "gold")
        #expect(pair.partner(of: "tin") == nil)
    }
}
