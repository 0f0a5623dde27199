// What surrounds every page: header, navigation, notice, language switch and footer, as a view model for base.mustache.
import Mustache

/// The frame of a page.
struct LayoutModel: ViewModel {
    var language: String
    var direction: String
    var title: String
    var city: String
    var home: Link
    var stylesheet: Link
    var navigation: [NavigationLink]
    var hasNavigation: Bool
    var account: AccountBox?
    var acting: ActingBar?
    var signIn: Link?
    var notice: String?
    var languages: [LanguageChoice]
    var returnTo: String

    static let fields: Fields<Self> = [
        "language": .text(\.language), "direction": .text(\.direction), "title": .text(\.title), "city": .text(\.city),
        "home": .link(\.home), "stylesheet": .link(\.stylesheet), "navigation": .list(\.navigation),
        "has_navigation": .flag(\.hasNavigation), "account": .optional(\.account), "acting": .optional(\.acting), "sign_in": .optionalLink(\.signIn),
        "notice": .optionalText(\.notice), "languages": .list(\.languages), "return_to": .text(\.returnTo),
    ]
}

/// One entry of the navigation.
struct NavigationLink: ViewModel {
    var link: Link
    var text: String
    var isCurrent: Bool

    static let fields: Fields<Self> = ["link": .link(\.link), "text": .text(\.text), "is_current": .flag(\.isCurrent)]
}

/// Who is signed in, with the ways out.
struct AccountBox: ViewModel {
    var name: String
    var signOut: Link
    /// Until when they are, if they do nothing.
    var until: String

    static let fields: Fields<Self> = ["name": .text(\.name), "sign_out": .link(\.signOut), "until": .text(\.until)]
}

/// For whom a helper acts, with the ways to where they stand and out of it.
struct ActingBar: ViewModel {
    var text: String
    var `where`: Link
    var stop: Link

    static let fields: Fields<Self> = ["text": .text(\.text), "where": .link(\.where), "stop": .link(\.stop)]
}

/// One button of the language switch.
struct LanguageChoice: ViewModel {
    var code: String
    var name: String
    var isCurrent: Bool

    static let fields: Fields<Self> = ["code": .text(\.code), "name": .text(\.name), "is_current": .flag(\.isCurrent)]
}

/// The root of a rendered page: the page's own names, and the form token, which is made only when a form asks for it.
struct PageRoot: MustacheParent {
    let page: any MustacheParent
    let web: WebContext

    func child(named name: String) -> Any? {
        name == CSRF.fieldName ? web.state.formToken(web.services.cookies) : page.child(named: name)
    }
}
