<?php
// The web application of php_sessions.py. Its sessions are configured by the command line.
set_error_handler(function (int $level, string $text): never {
    http_response_code(500);
    exit($text);
});
session_start();
switch (parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH)) {
    case '/count':
        // Without the session's lock, requests at the same time would count from the same number.
        $count = $_SESSION['count'] ?? 0;
        usleep(2000);
        $_SESSION['count'] = $count + 1;
        echo $count + 1;
        break;
    case '/set':
        $_SESSION['value'] = ['text' => $_GET['text'], 'numbers' => [1, 2.5, null]];
        echo session_id();
        break;
    case '/get':
        echo json_encode($_SESSION['value'] ?? null, JSON_UNESCAPED_UNICODE);
        break;
    case '/regenerate':
        session_regenerate_id(true);
        echo session_id();
        break;
    case '/destroy':
        session_destroy();
        echo 'bye';
        break;
}
