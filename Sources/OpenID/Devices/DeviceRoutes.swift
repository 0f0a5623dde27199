// The pages of the device grant: where the code is typed, and where it ends. Who asks is confirmed on the page of the request. The URL table first.
import Hummingbird
public import Postgres
import Primitives
public import Web

public struct DeviceRoutes: Sendable {
    let database: Database

    public init(database: Database) { self.database = database }

    public func add(to site: Site) {
        site.declare(pages: [DevicePage.self, DeviceDonePage.self])
        site.resident.get(DeviceGrant.typingPath, use: show)
        site.resident.post(DeviceGrant.typingPath, use: begin)
        site.resident.get(DeviceGrant.answeredPath, use: done)
    }

    @Sendable func show(_ request: Request, _ context: ResidentContext) async throws -> Response {
        let code = (try? context.query(request).value("user_code")).flatMap { $0 }.flatMap { UserCode(typed: $0) }
        return try page(context, .filled(["user_code": code?.written ?? ""]))
    }

    @Sendable func begin(_ request: Request, _ context: ResidentContext) async throws -> Response {
        var fields = FormReader(context.form)
        let typed = fields.text("user_code", charactersMax: 40)
        guard fields.isValid else { return try page(context, fields.state, status: .unprocessableContent) }
        // Accounts wait for themselves here: not on a shared connection.
        guard try await database.exclusive({ try await $0.one(CountDeviceGuess(session: context.resident.credential)) }) else {
            fields.reject("user_code", "openid.device.too_many")
            return try page(context, fields.state, status: .tooManyRequests)
        }
        guard let code = UserCode(typed: typed), let id = try await requestID(for: code, request, context) else {
            fields.reject("user_code", "openid.device.unknown")
            return try page(context, fields.state, status: .unprocessableContent)
        }
        return context.redirect(to: "/oauth/requests/\(id)")
    }

    @Sendable func done(_ request: Request, _ context: ResidentContext) async throws -> Response {
        try context.page(DeviceDonePage(), title: "openid.device.done_title")
    }

    private func requestID(for code: UserCode, _ request: Request, _ context: ResidentContext) async throws -> AuthorizationRequestID? {
        let begin = BeginDeviceRequest(code: code, browser: LoginCookie.readOrIssue(request, in: context))
        return try await database.exclusive { try await $0.optional(begin) }
    }

    private func page(_ context: ResidentContext, _ state: FormState, status: HTTPResponse.Status = .ok) throws -> Response {
        let form = context.formView(state)
        return try context.page(
            DevicePage(errors: form.errors, code: form.text("user_code", label: "openid.device.code", hint: "openid.device.hint", autocomplete: "off")),
            title: "openid.device.title", status: status)
    }
}

/// The page `openid/device`.
struct DevicePage: PageModel {
    static let template = "openid/device"

    var errors: ErrorSummary?
    var code: TextField

    static let fields: Fields<Self> = ["errors": .optional(\.errors), "code": .model(\.code)]
}

/// The page `openid/device-done`.
struct DeviceDonePage: PageModel {
    static let template = "openid/device-done"
    static let fields: Fields<Self> = [:]
}
