/// Every rule that can forbid something, once.
///
/// The rules are grouped by what they ask about: the order of operations (`RuleBook+Order`), the sites and the
/// facts found there (`RuleBook+Facts`), how clouds and servers are set up (`RuleBook+Setup`), and how they
/// are registered, joined and taken away again (`RuleBook+Site`).
package enum RuleBook {
    /// All rules, in the order of the page that is generated from them.
    package static let all: [Rule] = order + facts + setup + site

    /// The rule of that id.
    package static func rule(_ id: String) -> Rule? { all.first { $0.id == id } }
}
